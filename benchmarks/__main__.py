"""The command line: ``python -m benchmarks peers|threads|growth|memory|draw``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import check, compare, facts, growth, memory, report, scaling
from .cases import CASES, OPERATOR_CASES, select
from .irregular import IRREGULAR_CASES
from .peers import OWN, PEERS, installed
from .timing import Effort

ALL = (*CASES, *OPERATOR_CASES, *IRREGULAR_CASES)


def main(arguments: list[str] | None = None) -> int:
    """Parse, run one subcommand, write what it found."""
    options = _parser().parse_args(arguments)
    try:
        return options.action(options)
    except KeyboardInterrupt:
        print("\nstopped, nothing written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _peers(options: argparse.Namespace) -> int:
    if options.list:
        return _list()
    if options.backward and options.reuse:
        return _refuse("--reuse-out is for the forward pass alone: layers make their own arrays")
    if options.quick and (options.store or options.check):
        return _refuse("--quick measures nothing that could be stored or checked")
    document = compare.run(options, _cases(options), _effort(options, rounds=5))
    if options.check:
        return _check(document, options)
    if options.store:
        check.store(document)
    name = f"peers-{options.threads}" + ("-backward" if options.backward else "") + ("-out" if options.reuse else "")
    return _finish(document, options, name)


def _check(document: dict[str, Any], options: argparse.Namespace) -> int:
    """1 if a case has lost; one that seems to have is measured once more."""
    stored = check.read()
    lost = check.losses(document, stored)
    if lost:
        print(f"\nonce more, for noise: {', '.join(lost)}")
        again = compare.run(options, [case for case in ALL if case.name in lost], _effort(options, rounds=5))
        lost = check.losses(again, stored)
    check.show(document, lost, stored)
    return 1 if lost else 0


def _threads(options: argparse.Namespace) -> int:
    cases = [case for case in _cases(options) if case.plain and (options.quick or case.large or options.cases != "*")]
    return _finish(scaling.run(options, cases, _effort(options, rounds=7)), options, "threads")


def _growth(options: argparse.Namespace) -> int:
    return _finish(growth.run(options, _effort(options, rounds=3)), options, f"growth-{options.threads}")


def _memory(options: argparse.Namespace) -> int:
    cases = [case for case in _cases(options) if not (options.backward and case.plain)]
    document = memory.run(options, cases)
    name = f"memory-{options.threads}" + ("-backward" if options.backward else "")
    report.write(document, options.out or (None if options.quick else report.RESULTS / f"{name}.json"))
    return 0


def _draw(options: argparse.Namespace) -> int:
    try:
        document = json.loads(options.source.read_text(encoding="utf-8"))
        kind = document["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _refuse(f"{options.source} is not a file that these benchmarks wrote ({error})")
    return 0 if _figure(document, options.figure or options.source.with_suffix(".png"), kind) else 1


def _cases(options: argparse.Namespace) -> list:
    cases = select(options.cases, ALL)
    if not cases:
        sys.exit(_refuse(f"no case is called {options.cases!r}; `python -m benchmarks peers --list` shows the names"))
    return [case.shrunk() for case in cases] if options.quick else cases


def _effort(options: argparse.Namespace, rounds: int) -> Effort:
    """What to spend; with several threads a pause lets idle pools of other libraries fall asleep."""
    several = getattr(options, "threads", 2) > 1
    if options.quick:
        return Effort(rounds=options.rounds or 2, turn=0.002, slow=0.1)
    return Effort(rounds=options.rounds or rounds, pause=0.005 if several else 0.0)


def _finish(document: dict[str, Any], options: argparse.Namespace, name: str) -> int:
    """Write the JSON file and the figure; quick runs leave none unless asked."""
    default = None if options.quick else report.RESULTS / f"{name}.json"
    out = options.out or default
    figure = options.figure or (default.with_suffix(".png") if default else None)
    print()
    report.write(document, out)
    if figure is not None:
        _figure(document, figure, document["command"])
    return 0


def _figure(document: dict[str, Any], path: Path, kind: str) -> bool:
    try:
        from . import figures
    except ImportError:
        print("no figure: matplotlib is not installed")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.DRAW[kind](document, path)
    print(f"drawn in {report.shown(path)}")
    return True


def _refuse(why: str) -> int:
    """One line and the exit code of a wrong call."""
    print(f"benchmarks: {why}", file=sys.stderr)
    return 2


def _list() -> int:
    """Names of cases and peers."""
    rows = [[case.name, case.title, case.describe()] for case in ALL]
    print(report.table(["case", "what it is", "shape and window"], rows, left=3))
    rows = [[key, kind.name, "yes" if installed(kind) else "no"] for key, kind in PEERS.items()]
    print("\n" + report.table(["peer", "library", "installed"], rows, left=3))
    return 0


def _threads_number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, got {value}")
    return value


def _peer_list(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",")]
    unknown = sorted(set(keys) - set(PEERS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return keys


def _counts(text: str) -> list[int]:
    return sorted({_threads_number(part) for part in text.split(",")} | {1})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast cypool is, and beside whom.")
    commands = parser.add_subparsers(required=True, metavar="peers|threads|growth|memory|draw")

    peers = commands.add_parser("peers", help="cypool beside every installed library and a plain copy")
    peers.set_defaults(action=_peers, reuse=False)
    peers.add_argument("--threads", type=_threads_number, default=1, help="for every peer (default 1)")
    peers.add_argument("--peers", type=_peer_list, help=f"comma-separated; {', '.join(OWN)} always come along")
    peers.add_argument("--backward", action="store_true", help="forward and backward, beside PyTorch's autograd")
    output = peers.add_mutually_exclusive_group()
    output.add_argument("--fresh", dest="reuse", action="store_false", help="cypool makes a new output (default)")
    output.add_argument("--reuse-out", dest="reuse", action="store_true", help="cypool writes into out=")
    ratios = peers.add_mutually_exclusive_group()
    ratios.add_argument("--store", action="store_true", help="keep the ratios in benchmarks/ratios.json")
    ratios.add_argument("--check", action="store_true", help="exit with 1 if a ratio has lost over 15 %% since then")
    peers.add_argument("--list", action="store_true", help="show cases and peers, measure nothing")

    threads = commands.add_parser("threads", help="1, 2, ... threads: time, speed-up, efficiency")
    threads.set_defaults(action=_threads)
    threads.add_argument("--counts", type=_counts, default=scaling.default_counts(facts.usable_cores()), metavar="N,N")

    growth_ = commands.add_parser("growth", help="time against window, size and channels")
    growth_.set_defaults(action=_growth)
    growth_.add_argument("--threads", type=_threads_number, default=1, help="for every peer (default 1)")

    memory_ = commands.add_parser("memory", help="what a call takes beside its inputs and its result, at most")
    memory_.set_defaults(action=_memory)
    memory_.add_argument("--threads", type=_threads_number, default=1, help="for every peer (default 1)")
    memory_.add_argument("--peers", type=_peer_list, help="comma-separated (default cypool)")
    memory_.add_argument("--backward", action="store_true", help="the backward call of layers, or of autograd")

    for command in (peers, threads, memory_):
        command.add_argument("--cases", default="*", metavar="GLOB", help="case names, comma-separated globs")
    for command in (peers, threads, growth_, memory_):
        command.add_argument("--quick", action="store_true", help="cut-down shapes, only to see that it runs")
        command.add_argument("--out", type=Path, metavar="JSON", help="default: a name in benchmarks/results")
    for command in (peers, threads, growth_):
        command.add_argument("--rounds", type=_threads_number, help="rounds of which the best counts")
        command.add_argument("--figure", type=Path, metavar="PNG", help="default: beside the JSON file")

    draw = commands.add_parser("draw", help="draw the figure of a JSON file again")
    draw.set_defaults(action=_draw)
    draw.add_argument("source", type=Path, metavar="JSON")
    draw.add_argument("--figure", type=Path, metavar="PNG", help="default: beside the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
