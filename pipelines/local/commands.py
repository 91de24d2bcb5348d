"""Commands of this machine that stand for what Argo's own executor does: kubectl, git, jq."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from pipelines.language.errors import EvaluationError


async def output(*words: str, stdin: bytes = b"", folder: Path | None = None) -> bytes:
    """What a command prints. Raises EvaluationError with what it says on stderr; cancelled, it ends the command first."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise EvaluationError(f"{words[0]}: {error.strerror}") from None
    try:
        printed, said = await process.communicate(stdin)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise EvaluationError(said.decode(errors="replace").strip() or f"{' '.join(words)}: exit code {process.returncode}")
    return printed
