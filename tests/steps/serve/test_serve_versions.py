"""Versions that come and go while the server runs."""

import shutil
import threading
import time

import grpc
import numpy as np
import pytest

ONE = {"x": np.array([1.0], np.float32)}


@pytest.fixture(scope="session")
def made(scale, tmp_path_factory):
    """Saved models that multiply by 1, 2, 3 and 4, to be copied: saving takes longer than copying."""
    folder = tmp_path_factory.mktemp("made")
    for factor in (1, 2, 3, 4):
        scale(folder / str(factor), factor)
    return folder


@pytest.fixture
def publish(made):
    """`publish(base, version)`: the version appears whole, as a release makes it appear; it multiplies by its number."""

    def publish(base, version):
        base.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made / str(version), base / ".aside")
        (base / ".aside").rename(base / str(version))

    return publish


def factor(ask, server, **options):
    return ask(server, ONE, model="m", signature="serving_default", **options)["y"].item()


def config(*models):
    """A model config file's text; a model is (name, base path, policy, labels)."""
    rows = []
    for name, base, policy, labels in models:
        marks = " ".join(f'version_labels {{ key: "{label}" value: {number} }}' for label, number in labels.items())
        rows.append(
            f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" model_version_policy {{ {policy} }} {marks} }}'
        )
    return f"model_config_list {{ {' '.join(rows)} }}"


def reload(server, text):
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    return server.models.HandleReloadConfigRequest(request, timeout=60)


class Load:
    """Callers that ask one after the other until told to stop; all that they got."""

    def __init__(self, ask, server, threads, **options):
        self.factors, self.errors, self._stop = [], [], threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(ask, server, options)) for _ in range(threads)]

    def _ask(self, ask, server, options):
        while not self._stop.is_set():
            try:
                self.factors.append(factor(ask, server, **options))
            except grpc.RpcError as error:
                self.errors.append((error.code().name, error.details()))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s until {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "m"


@pytest.fixture(scope="module")
def server(start, base, made, tmp_path_factory):
    """A server of the latest version, which looks every second; version 1 is there."""
    shutil.copytree(made / "1", base / "1")
    flags = ("--model_name=m", f"--model_base_path={base}", "--max_num_load_retries=0")
    with start(tmp_path_factory.mktemp("server"), *flags) as server:
        yield server


def test_a_new_version_takes_over_and_no_request_is_lost(server, base, ask, publish):
    server.wait_for("m", {1: "AVAILABLE"})
    with Load(ask, server, threads=8) as load:
        until(lambda: len(load.factors) > 50, "requests are answered")
        publish(base, 2)
        server.wait_for("m", {2: "AVAILABLE", 1: "END"})
        publish(base, 3)
        server.wait_for("m", {3: "AVAILABLE", 2: "END", 1: "END"})
    assert load.errors == []
    assert set(load.factors) == {1.0, 2.0, 3.0}
    with pytest.raises(grpc.RpcError, match=r"Specific\(m, 1\)"):
        factor(ask, server, version=1)


def test_a_broken_version_leaves_the_one_before_and_says_why(server, base, ask):
    from tensorflow_serving.apis import get_model_status_pb2

    (base / "10").mkdir()
    (base / "10" / "saved_model.pb").write_bytes(b"no model")
    server.wait_for("m", {10: "END", 3: "AVAILABLE", 2: "END", 1: "END"})
    assert factor(ask, server) == 3.0
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    request.model_spec.version.value = 10
    (row,) = server.models.GetModelStatus(request).model_version_status
    assert row.status.error_code == 15  # DATA_LOSS
    assert "saved_model.pb" in row.status.error_message
    shutil.rmtree(base / "10")


def test_a_version_that_lost_its_variables_is_broken_too(server, base, ask, made):
    shutil.copytree(made / "4", base / ".aside")
    shutil.rmtree(base / ".aside" / "variables")
    (base / ".aside").rename(base / "11")
    until(lambda: server.states("m").get(11) == "END", "the version is given up")
    assert factor(ask, server) == 3.0
    shutil.rmtree(base / "11")


def test_the_version_before_comes_back_where_the_latest_is_taken_away(server, base, ask, made):
    with Load(ask, server, threads=4) as load:
        shutil.rmtree(base / "3")
        until(lambda: server.states("m").get(2) == "AVAILABLE" and server.states("m")[3] == "END", "version 2 is back")
    assert load.errors == []
    assert factor(ask, server) == 2.0


def test_status_of_what_is_not_there(server):
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    with pytest.raises(grpc.RpcError, match="Missing ModelSpec"):
        server.models.GetModelStatus(request)
    request.model_spec.name = "nobody"
    with pytest.raises(grpc.RpcError, match="Could not find any versions of model nobody"):
        server.models.GetModelStatus(request)
    request.model_spec.name = "m"
    request.model_spec.version.value = 99
    with pytest.raises(grpc.RpcError, match="Could not find version 99 of model m"):
        server.models.GetModelStatus(request)


@pytest.fixture(scope="module")
def many(start, tmp_path_factory, made):
    """A server that follows a model config file: version 1 of m is pinned, other versions are there."""
    folder = tmp_path_factory.mktemp("many")
    shutil.copytree(made, folder / "m")
    file = folder / "models.config"
    file.write_text(config(("m", folder / "m", "specific { versions: 1 }", {})))
    flags = (f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1", "--max_num_load_retries=0")
    with start(folder, *flags) as server:
        server.folder, server.file = folder, file
        yield server


def set_config(server, *models):
    """Change the server's configuration, in the file it follows too."""
    text = config(*models)
    server.file.with_suffix(".aside").write_text(text)
    server.file.with_suffix(".aside").rename(server.file)
    return reload(server, text)


def test_a_pinned_version_stays_and_a_reload_rolls_without_losing_a_request(many, ask):
    assert many.states("m") == {1: "AVAILABLE"}
    assert factor(ask, many) == 1.0
    with Load(ask, many, threads=8) as load:
        assert set_config(many, ("m", many.folder / "m", "specific { versions: 3 }", {})).status.error_code == 0
        many.wait_for("m", {3: "AVAILABLE", 1: "END"})
        set_config(many, ("m", many.folder / "m", "specific { versions: 1 }", {}))
        many.wait_for("m", {3: "END", 1: "AVAILABLE"})
    assert load.errors == []
    assert factor(ask, many) == 1.0


def test_several_versions_and_labels_for_them(many, ask):
    both = "specific { versions: 1 versions: 2 }"
    set_config(many, ("m", many.folder / "m", both, {}))
    many.wait_for("m", {3: "END", 2: "AVAILABLE", 1: "AVAILABLE"})
    set_config(many, ("m", many.folder / "m", both, {"stable": 1, "canary": 2}))
    assert [factor(ask, many, label=label) for label in ("stable", "canary")] == [1.0, 2.0]
    assert [factor(ask, many, version=version) for version in (1, 2)] == [1.0, 2.0]
    assert factor(ask, many) == 2.0
    with pytest.raises(grpc.RpcError, match="assign label to version 4 of model m, which is not currently available"):
        reload(many, config(("m", many.folder / "m", both, {"stable": 4})))
    assert factor(ask, many, label="stable") == 1.0


def test_latest_and_all(many, ask):
    set_config(many, ("m", many.folder / "m", "latest { num_versions: 2 }", {}))
    many.wait_for("m", {4: "AVAILABLE", 3: "AVAILABLE", 2: "END", 1: "END"})
    set_config(many, ("m", many.folder / "m", "all {}", {}))
    many.wait_for("m", dict.fromkeys((4, 3, 2, 1), "AVAILABLE"))


def test_the_config_file_is_followed_and_models_come_and_go(many, ask):
    pinned = ("m", many.folder / "m", "specific { versions: 1 }", {})
    second = ("second", many.folder / "m", "specific { versions: 4 }", {})
    many.file.write_text(config(pinned, second))
    until(lambda: many.states("second") == {4: "AVAILABLE"}, "the second model is there")
    assert ask(many, ONE, model="second", signature="serving_default")["y"].item() == 4.0
    many.file.write_text("no config at all {")
    many.file.write_text(config(pinned))
    until(lambda: many.states("second") == {4: "END"}, "the second model is gone")
    with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Latest\(second\)"):
        ask(many, ONE, model="second")
    assert factor(ask, many) == 1.0


def test_a_reload_waits_for_a_new_model_and_tells_where_it_does_not_load(many, ask):
    pinned = ("m", many.folder / "m", "specific { versions: 1 }", {})
    (many.folder / "broken" / "1").mkdir(parents=True)
    with pytest.raises(grpc.RpcError, match=r"1 servable\(s\) did not become available: .*name: broken version: 1.*SavedModel"):
        set_config(many, pinned, ("broken", many.folder / "broken", "all {}", {}))
    set_config(many, pinned, ("third", many.folder / "m", "specific { versions: 2 }", {}))
    assert ask(many, ONE, model="third", signature="serving_default")["y"].item() == 2.0
    set_config(many, pinned)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([("m", "/a", "all {}", {}), ("m", "/b", "all {}", {})], "Illegal to list model m multiple times"),
        ([("m", "relative", "all {}", {})], "Expected model m to have an absolute path"),
        ([("m", "gs://bucket/m", "all {}", {})], "Expected model m to have an absolute path"),
    ],
)
def test_a_reload_that_cannot_be_changes_nothing(many, ask, models, message):
    with pytest.raises(grpc.RpcError, match=message) as error:
        reload(many, config(*models))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert factor(ask, many) == 1.0


def test_an_empty_reload_is_refused(many):
    with pytest.raises(grpc.RpcError, match="Only ModelConfigList is currently supported"):
        reload(many, "")


def test_memory_does_not_grow_with_versions_loaded(many, ask):
    """Loads and unloads of the same model: what is held after ten is about what is held after twenty."""

    def resident_kib():
        status = (many.folder.parent / f"/proc/{many.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def swap(times):
        for position in range(times):
            number = 2 + position % 2
            set_config(many, ("m", many.folder / "m", f"specific {{ versions: {number} }}", {}))
            until(lambda number=number: [n for n, state in many.states("m").items() if state == "AVAILABLE"] == [number], "it is swapped")
            assert factor(ask, many) == number

    swap(10)
    before = resident_kib()
    swap(10)
    assert resident_kib() - before < 12_000
