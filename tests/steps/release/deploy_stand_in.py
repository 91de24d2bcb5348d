"""The deploy or the rollback step (the argument) with the stand-in for its server, and PATIENCE_S for a version to load."""

import os
import sys
from pathlib import Path

from steps import contract, deploy, rollback
from steps.release import local

local.EMBEDDED_SERVER = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
local.LOAD_S = float(os.environ.get("PATIENCE_S", "60"))
main = deploy.main

if __name__ == "__main__":
    contract.run(rollback.main if "rollback" in sys.argv[1:] else main)
