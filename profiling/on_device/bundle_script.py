"""Runs on a device, beside the models that it measures; it needs Python 3.9, NumPy and their runtime.

    python3 measure.py [FILE] [--rounds N] [--threads N]

writes the device's profile, by default DEVICE.profile.json.

`plan profile --bundle` writes it as `measure.py`, and the package that it imports, beside the models.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    BUNDLE = Path(__file__).resolve().parent
    sys.path.insert(0, str(BUNDLE))  # before another version that may be installed, and under -I and -P too
    sys.dont_write_bytecode = True  # a bundle with files that are not its own is never replaced

    from profiling.on_device.device_main import main

    main(BUNDLE, sys.argv[1:])
