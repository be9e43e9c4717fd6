"""What smithers costs, as ratios inside one run: `make bench`.

Machines are noisy, so every figure is measured in turn with what it is compared to (A B A B …) and only ratios of
medians are worth quoting. The floor of a durable step is the very same objects, ref moves and rows, written by plain
pygit2 and sqlite3 in the same process without any workflow; with power-loss safety, one append and one fdatasync more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import probes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, small sizes")
    parser.add_argument("--dir", help="where to make the repositories (default: the temporary folder)")
    parser.add_argument("only", nargs="*", help=f"some of: {', '.join(probes.ALL)}")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    names = options.only or list(probes.ALL)
    base = Path(tempfile.mkdtemp(prefix="smithers-bench-", dir=options.dir))
    load = os.getloadavg()[0]
    print(f"smithers bench: {rounds} round(s), medians; load {load:.1f}, {os.cpu_count()} cores, files in {base}")
    try:
        bench = probes.Bench(base, rounds, quick=options.quick)
        for name in names:
            print(f"\n{name}: {(probes.ALL[name].__doc__ or '').splitlines()[0]}")
            probes.ALL[name](bench)
    finally:
        # All at once and at the end: on some file systems making files is slow for a while after many were deleted.
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
