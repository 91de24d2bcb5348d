"""Run the deploy step, killed right after a write to the cluster: `python -m tests.e2e.deploy.killed_at apply Deployment/model`.

The name `note` stands for the note of what was released, which is a write of a Deployment too.
"""

import os
import signal
import sys

from steps import contract, deploy
from steps.release import api, live


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def after(function, is_it):
    def wrapped(*arguments, **options):
        done = function(*arguments, **options)
        if is_it(*arguments, **options):
            die()
        return done

    return wrapped


def main(verb, what):
    def is_applied(_api, sent, *_, dry_run=False):
        return not dry_run and what == f"{sent['kind']}/{sent['metadata']['name']}"

    if what == "note":
        live.note = after(live.note, lambda *_: True)
    elif verb == "apply":
        api.Api.apply = after(api.Api.apply, is_applied)
    else:
        api.Api.delete = after(api.Api.delete, lambda _api, kind, name: what == f"{kind}/{name}")
    contract.run(deploy.main)


if __name__ == "__main__":
    main(*sys.argv[1:])
