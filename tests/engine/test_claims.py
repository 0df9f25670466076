"""What running trials share."""

import subprocess
import sys
import textwrap

import pytest

from rostra.engine.claims import Context


def test_a_place_is_told_by_all_that_it_depends_on(tmp_path):
    context = Context("cpu", tmp_path)

    def place(method, key):
        with context.kept(method, key) as path:
            return path

    assert place("vcnet", {"a": 1, "b": [2]}) == place("vcnet", {"b": [2], "a": 1})
    others = [place("vcnet", {"a": 1, "b": [3]}), place("sensei", {"a": 1, "b": [2]})]
    assert len({place("vcnet", {"a": 1, "b": [2]}), *others}) == 3
    assert not place("vcnet", 0).exists()
    assert place("vcnet", 0).parent == tmp_path / "vcnet"
    with pytest.raises(TypeError):
        place("vcnet", object())


def test_one_process_makes_what_the_others_wait_for(tmp_path):
    """Four at once: each would write its own number, and all read the same one."""
    program = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from rostra.engine.claims import Context
        with Context("cpu", Path(sys.argv[1])).kept("vcnet", "x") as path:
            if not path.exists():
                time.sleep(0.5)
                path.write_text(str(os.getpid()))
            print(path.read_text())
    """)
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert len(said) == 1
    assert said != {""}
