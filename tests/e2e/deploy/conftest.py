"""Namespaces to deploy into, fresh or shared by a file."""

import contextlib
import uuid
from concurrent import futures

import pytest

from tests.e2e.deploy.namespace import Namespace, kubectl


@pytest.fixture
def at_once():
    """`at_once(function, items)`: calls that take little but time, some at a time."""

    def call(function, items):
        with futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(function, items))

    return call


@contextlib.contextmanager
def fresh_namespace():
    name = f"deploy-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        made = Namespace(name)
        made.set_up()
        yield made
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(images):
    """A namespace in which nothing was deployed yet."""
    with fresh_namespace() as made:
        yield made


@pytest.fixture(scope="module")
def shared(images):
    """One namespace for all tests of a file, each of which leaves it with one version that serves, or none."""
    with fresh_namespace() as made:
        yield made


@pytest.fixture
def serving(shared):
    """The shared namespace, with version 1 serving from two replicas."""
    shared.deployed(1)
    return shared
