"""The local backend: the embedded model server as a process of this machine that outlives the step."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import steps
from steps import contract, storage
from steps.release import checks, note, ports, process, questions, repository
from steps.release.note import Note, Server
from steps.release.places import Places

EMBEDDED_SERVER = (sys.executable, "-m", "steps.serve")
_CODE = Path(steps.__file__).resolve().parent.parent
LOAD_S = 300.0
_SAID = 500


class LocalServer:
    """One server process, addressed on 127.0.0.1, pinned to a version by its model config file; the second one is the canary.

    Whatever is started is noted in serving.json before it may run, so a release that was killed leaves nothing unknown: the
    next one stops it first, as it does a noted server that does not answer. Who makes one holds the lock of the output folder.
    """

    def __init__(self, places: Places, port: int, rest_port: int) -> None:
        ports.require_two(port, rest_port)
        self._places, self._port, self._rest_port = places, port, rest_port
        self._children: dict[int, process.Held] = {}
        storage.remove_asides(places.output)
        self._stop_passing()

    @property
    def address(self) -> str:
        """Where clients find the server."""
        return f"localhost:{self._port}"

    def current(self) -> int | None:
        """The version of the noted server, if that runs and answers."""
        server = self._live()
        return server.version if server else None

    def is_serving(self, version: int) -> bool:
        """Whether the noted server has just this version available, on the ports asked for, and answers the sample right."""
        server = self._live()
        if server is None or server.version != version or not self._has_asked_ports(server):
            return False
        with questions.channel(_at(server.port)) as channel:
            if questions.available(questions.states(channel, self._places.model, questions.ASK_S)) != {version}:
                return False
            try:
                self._verify(channel, version)
            except contract.StepError as error:
                contract.log(f"the server does not answer as it should: {error}")
                return False
        return True

    def canary(self, version: int) -> None:
        """A second process on ports that nobody knows."""
        self._require_ports()
        contract.log(f"trying version {version} in a canary")
        log = self._places.output / "canary.log"
        log.unlink(missing_ok=True)
        server = self._start(version, note.canary_config_file(self._places.output), log, *ports.free(2))
        self._await(server, version, log)
        self._stop_passing()
        log.unlink()

    def roll(self, version: int) -> None:
        """Reload the noted server, or start one where none runs, or one on other ports than the noted one has."""
        before = self._live()
        if before and self._has_asked_ports(before):
            contract.log(f"loading version {version} beside the one that serves")
            after = self._reload(before, version)
            note.write(self._places.output, Note(after))
            return
        self._require_ports()
        after = self._serve(version, self._port, self._rest_port)
        note.write(self._places.output, Note(after, (before,) if before else ()))
        self._stop_passing()

    def back(self, version: int | None) -> None:
        """Stop what was started and is not in service; what was in service serves the version again, started anew if it died."""
        noted = self._note().server
        self._stop_passing()
        live = self._live()
        if version is None or noted is None:
            note.stop_noted(self._places.output)
        elif live:
            note.write(self._places.output, Note(self._reload(live, version)))
        else:
            note.write(self._places.output, Note(self._serve(version, noted.port, noted.rest_port)))

    def _serve(self, version: int, port: int, rest_port: int) -> Server:
        log = self._places.output / "serving.log"
        server = self._start(version, note.config_file(self._places.output), log, port, rest_port)
        self._await(server, version, log)
        return server

    def _reload(self, server: Server, version: int) -> Server:
        config = self._write_config(note.config_file(self._places.output), version)
        with questions.channel(_at(server.port)) as channel:
            failure = questions.reload(channel, config, questions.ASK_S)
        if failure:
            contract.log(f"the server says of its new configuration: {failure}")
        after = dataclasses.replace(server, version=version)
        self._await(after, version, self._places.output / "serving.log")
        return after

    def _start(self, version: int, config_file: Path, log: Path, port: int, rest_port: int) -> Server:
        self._write_config(config_file, version)
        options = (f"--port={port}", f"--rest_api_port={rest_port}", "--max_num_load_retries=0", f"--model_config_file={config_file}")
        held = process.Held([*EMBEDDED_SERVER, *options], _CODE, log, options[-1])
        identity = held.identity
        server = Server(identity.pid, identity.start, str(config_file), port, rest_port, self._places.model, version, note.now())
        known = self._note()
        note.write(self._places.output, Note(known.server, (*known.passing, server)))
        self._children[server.pid] = held
        held.release()
        return server

    def _await(self, server: Server, version: int, log: Path) -> None:
        """Wait until a server has just this version available and it answers the sample right. Raises with the reason otherwise."""
        with questions.channel(_at(server.port)) as channel:
            questions.await_available(channel, self._places.model, version, LOAD_S, f"see {log}", lambda: self._check_process(server, log))
            self._verify(channel, version)

    def _check_process(self, server: Server, log: Path) -> None:
        if process.is_alive(server.identity):
            return
        child = self._children.get(server.pid)
        code = child.exit_code() if child else None
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        said = " ".join(line.strip() for line in lines[-5:] if line.strip())[-_SAID:] or "it said nothing"
        killed = code is None or code >= 128
        error = contract.Transient if killed else contract.BadInput
        how = "" if code is None else f" with exit code {code}"
        raise error(f"the model server for version {server.version} ended{how}: {said}; see {log}")

    def _verify(self, channel: Any, version: int) -> None:
        sample = checks.read_sample(self._places.version(version) / repository.SAMPLE)
        questions.verify(channel, self._places.model, version, sample)

    def _live(self) -> Server | None:
        """The noted server, if it runs and answers at all."""
        server = note.serving(self._places.output)
        if server is None:
            return None
        with questions.channel(_at(server.port)) as channel:
            return None if questions.states(channel, server.model, questions.ASK_S) is None else server

    def _stop_passing(self) -> None:
        """Stop servers on their way up or down, and a noted one that does not answer."""
        known, live = self._note(), self._live()
        silent = (known.server,) if known.server and not live else ()
        for server in (*known.passing, *silent):
            process.stop(server.identity)
            if server.pid in self._children:
                self._children.pop(server.pid).exit_code()
        note.canary_config_file(self._places.output).unlink(missing_ok=True)
        if known != Note(live):
            note.write(self._places.output, Note(live))

    def _require_ports(self) -> None:
        """Refuse ports that are in use, but for the noted server that has just these."""
        server = self._live()
        if server and self._has_asked_ports(server):
            return
        for port, setting in ((self._port, "TF_SERVING_PORT"), (self._rest_port, "TF_SERVING_REST_PORT")):
            ports.require_free(port, setting)

    def _has_asked_ports(self, server: Server) -> bool:
        return (server.port, server.rest_port) == (self._port, self._rest_port)

    def _write_config(self, path: Path, version: int) -> Any:
        config = questions.pinned(self._places.model, str(self._places.repository), version)
        storage.write_whole(path, questions.config_text(config))
        return config

    def _note(self) -> Note:
        return note.read(self._places.output)


def _at(port: int) -> str:
    return f"127.0.0.1:{port}"
