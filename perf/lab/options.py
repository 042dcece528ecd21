"""What all comparisons are asked by: which Ramson, and whether the folders are kept."""

import os
import sys

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse(parser):
    """Reads the arguments, with these two beside those of `parser`; ends the script if there is no Ramson."""
    parser.add_argument("--keep", metavar="DIR", help="keep the folders of all routers there; it is emptied first")
    parser.add_argument("--ramson", default=os.path.join(_TOP, "target", "release", "ramson"), metavar="PATH")
    options = parser.parse_args()
    if not os.access(options.ramson, os.X_OK):
        sys.exit(f"no binary at {options.ramson}: cargo build --release -p ramson -p ramson-perf")
    options.ramson = os.path.abspath(options.ramson)
    return options
