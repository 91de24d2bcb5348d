"""The deploy step, or with `rollback OUTPUT [VERSION]` a rollback, with the stand-in for its server and little patience."""

import sys
from pathlib import Path

from steps import contract, deploy, release
from steps.release import local

local.EMBEDDED_SERVER = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
local.LOAD_S = 4.0
main = deploy.main

if __name__ == "__main__":
    if sys.argv[1:2] == ["rollback"]:
        release.rollback(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        contract.run(main)
