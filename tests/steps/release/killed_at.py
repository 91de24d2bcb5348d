"""Run a step that is killed just before its Nth effect on files or processes: `python killed_at.py N STEP`.

STEP is `validate` (with the check of the model itself left out, which changes no files but is slow) or `deploy` (with the
stand-in for the server). Exits 0 where the step has fewer effects than N.
"""

import os
import signal
import sys

EFFECTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "subprocess.Popen", "os.kill"}


def effects_counted(last):
    left = [last]

    def hook(event, arguments):
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR) and arguments[0] != os.devnull
        )
        if event in EFFECTS or writes:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main(last, step):
    from steps import contract

    if step == "validate":
        from steps import validate

        validate._check = lambda *_: None
        run = validate.main
    else:
        import deploy_stand_in

        run = deploy_stand_in.main
    sys.addaudithook(effects_counted(last))
    contract.run(run)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
