"""Namespaces to deploy into, fresh or shared."""

from concurrent import futures

import pytest

from tests.e2e.deploy.namespace import fresh_namespace


@pytest.fixture
def at_once():
    """`at_once(function, items)`: calls that take little but time, some at a time."""

    def call(function, items):
        with futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(function, items))

    return call


@pytest.fixture
def namespace(images):
    """A namespace in which nothing was deployed yet."""
    with fresh_namespace() as made:
        yield made


@pytest.fixture(scope="session")
def shared(images):
    """One namespace for all tests that leave it with one version that serves."""
    with fresh_namespace() as made:
        yield made


@pytest.fixture
def serving(shared):
    """The shared namespace, with version 1 serving from two replicas."""
    shared.deployed(1)
    return shared
