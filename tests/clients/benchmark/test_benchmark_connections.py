"""How a server is reached: encrypted or not, by whom, over what; and what is said where it is not reached."""

import shutil
import subprocess

import grpc
import pytest

from clients.benchmark import BadInput, NothingSucceeded, Settings, run, summary
from clients.benchmark.credentials import metadata, tls

WAYS = ["grpc", "wire"]


@pytest.fixture(autouse=True)
def _server_in_this_process(monkeypatch):
    monkeypatch.setattr(summary, "BUSY_SHARE", 100.0)
    monkeypatch.setattr(summary, "LATE_SHARE", 100.0)


@pytest.fixture
def table(data):
    return data("label,x,c\n" + "".join(f"{x % 2},{x},c{x}\n" for x in range(1, 21)))


def measure(table, address, way, **others):
    return run(Settings(table, address, num_iteration=12, warm_up_iteration=2, transport=way, **others))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority, and certificates of it for a server and for a client."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "names"),
        )
    return folder


@pytest.fixture
def secure(server, certificates):
    """Servers with TLS, that ask for the client's certificate where they are told to."""
    servers = []

    def start(client_certificate):
        pair = ((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())
        authority = (certificates / "ca.pem").read_bytes() if client_certificate else None
        servers.append(type(server)(credentials=grpc.ssl_server_credentials([pair], authority, client_certificate)))
        return servers[-1]

    yield start
    for started in servers:
        started.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_tls(mounted, table, secure, certificates, way, concurrency):
    server = secure(False)
    authority, rows = mounted("ca.pem", (certificates / "ca.pem").read_bytes()), mounted("rows.csv", table.read_bytes())
    assert measure(rows, server.address, way, concurrency=concurrency, ca_file=authority).measured == 10
    assert server.calls == 12


@pytest.mark.parametrize("way", WAYS)
def test_tls_with_a_client_certificate(table, secure, certificates, way):
    server = secure(True)
    own = {"cert_file": certificates / "client.pem", "key_file": certificates / "client.key"}
    assert measure(table, server.address, way, ca_file=certificates / "ca.pem", **own).measured == 10
    with pytest.raises(NothingSucceeded, match=rf"^{server.address}: .*--cert and --key"):
        measure(table, server.address, way, ca_file=certificates / "ca.pem")


@pytest.mark.parametrize("way", WAYS)
def test_tls_where_none_is_and_the_reverse_and_by_another_authority(table, server, secure, certificates, way):
    with pytest.raises(NothingSucceeded, match=r"no TLS there that this client trusts; leave out --tls for a server without it"):
        measure(table, server.address, way, ca_file=certificates / "ca.pem")
    encrypted = secure(False)
    with pytest.raises(NothingSucceeded, match=r"one with TLS needs --tls or --ca"):
        measure(table, encrypted.address, way)
    with pytest.raises(NothingSucceeded, match=r"no TLS there that this client trusts.*mend --ca"):
        measure(table, encrypted.address, way, ca_file=certificates / "client.pem")
    assert server.calls == encrypted.calls == 0


@pytest.fixture
def mounted(tmp_path):
    """Writes a file as a mounted ConfigMap or Secret has it: a link into a folder that is a link."""

    def write(name, content):
        (tmp_path / "..2026").mkdir(exist_ok=True)
        (tmp_path / "..2026" / name).write_bytes(content)
        if not (tmp_path / "..data").is_symlink():
            (tmp_path / "..data").symlink_to("..2026")
        (tmp_path / name).symlink_to(f"..data/{name}")
        return tmp_path / name

    return write


@pytest.mark.parametrize("way", [*WAYS, "rest"])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_metadata_and_a_token_go_with_every_call(mounted, table, server, rest, monkeypatch, way, concurrency):
    metadata, token = mounted("metadata", b"# for the gateway\nX-Team: speed\n\nx-empty:\n"), mounted("token", b"a.secret-token\n")
    address = rest if way == "rest" else server.address
    measure(table, address, way, concurrency=concurrency, metadata_file=metadata, token_file=token)
    monkeypatch.setenv("GATEWAY_TOKEN", "another")
    measure(table, address, way, concurrency=concurrency, token_env="GATEWAY_TOKEN")
    assert all(pairs["x-team"] == "speed" and pairs["authorization"] == "Bearer a.secret-token" for pairs in server.metadata[:12])
    assert all(pairs["authorization"] == "Bearer another" and "x-team" not in pairs for pairs in server.metadata[12:])
    assert len(server.metadata) == 24


def test_a_token_is_not_shown():
    settings = Settings("eval.csv", token_env="PATH")
    with pytest.raises(BadInput):
        Settings("eval.csv", token_env="NO_SUCH_VARIABLE").endpoint()
    assert settings.endpoint().metadata[0][1] not in repr(settings.endpoint()) + repr(settings)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_unix_socket_and_compression(table, server, tmp_path, monkeypatch, way, concurrency):
    monkeypatch.chdir(tmp_path)  # the path of a socket has 107 bytes at most
    local = type(server)("unix:socket")
    try:
        assert measure(table, "unix:socket", way, concurrency=concurrency, compression="gzip").measured == 10
    finally:
        local.stop()


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_is_larger_than_allowed(table, server, way):
    with pytest.raises(NothingSucceeded, match=r"larger than --max-message-size allows; raise it \(RESOURCE_EXHAUSTED: "):
        measure(table, server.address, way, max_message_bytes=16)


@pytest.mark.parametrize("way", [*WAYS, "rest"])
def test_connections_are_opened_and_kept(table, server, rest, way):
    address = rest if way == "rest" else server.address
    run(Settings(table, address, num_iteration=60, transport=way, concurrency=4, connections=4))
    assert len(server.peers) == (1 if way == "rest" else 4)


@pytest.mark.parametrize("way", [*WAYS, "rest"])
def test_what_is_missing_is_told_with_what_there_is(table, server, rest, way):
    address = rest if way == "rest" else server.address
    with pytest.raises(NothingSucceeded, match="does not serve model typo; mend --model"):
        measure(table, address, way, model="typo")
    with pytest.raises(BadInput, match=r"--signature: expected one that model \S+ has \(serving_default\), got 'classify'"):
        measure(table, address, way, signature="classify")
    if way != "rest":
        with pytest.raises(BadInput, match=r"does not serve version 9 of model \S+; it has 3 AVAILABLE: mend --model-version"):
            measure(table, address, way, model_version=9)
        assert measure(table, address, way, model_version=3).measured == 10


def test_an_interface_of_another_kind(table, server, rest):
    for address, way in ((rest, "grpc"), (rest, "wire"), (server.address, "rest"), ("127.0.0.1:1", "rest"), ("127.0.0.1:1", "wire")):
        with pytest.raises(NothingSucceeded, match=rf"^{address}: .* \(by habit, port 8500 is gRPC and 8501 is REST\)"):
            measure(table, address, way)


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (lambda path: metadata(path, None, None), "no colon", "--metadata-file: {path}, line 1: expected `name: value`"),
        (lambda path: metadata(path, None, None), "a: 1\ngrpc-timeout: 1S", "--metadata-file: {path}, line 2: expected `name: value`"),
        (lambda path: metadata(path, None, None), "a: \u00e9", "--metadata-file: {path}, line 1: expected a value of printable ASCII"),
        (lambda path: metadata(None, path, None), "\n", "--token-file: {path}: expected a token in one line, got nothing"),
        (lambda path: metadata(None, path, None), "a\nb", "--token-file: {path}: expected a token in one line, got something else"),
        (lambda path: tls(path, None, None), "no PEM", "--ca: {path}: expected PEM with a CERTIFICATE, got none"),
        (lambda path: tls(None, path, path), "-----BEGIN CERTIFICATE-----", "--key: {path}: expected PEM with a PRIVATE KEY, got none"),
        (lambda path: tls(path.parent, None, None), "", "--ca: {path.parent}: expected a file that can be read: Is a directory"),
    ],
)
def test_files_of_secrets_that_are_none(tmp_path, read, content, message):
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(BadInput) as error:
        read(path)
    assert str(error.value).startswith(message.format(path=path))
