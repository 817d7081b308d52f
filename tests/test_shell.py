# SPDX-License-Identifier: GPL-2.0-only
"""The shell: what it prints, where, and with which status, for what people type."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hidma
from hidma.commands.shell import app
from hidma.commands.shell.app import Prompt, completions, interrupts, unfinished
from hidma.commands.shell.interp import Exit, Shell
from hidma.commands.shell.io import Buffer, Input, Io, given

MGMT = "/sys/devices/platform/f9984000.hidma-mgmt"
DRIVERS = "/sys/bus/platform/drivers"


class Result:
    """Output, errors and status of one run."""

    def __init__(self, commands: str, machine: hidma.Machine, root: bool = True, stdin: bytes = b"") -> None:
        out, err = Buffer(), Buffer()
        source = given(stdin)
        self.shell = Shell(machine, root, source)
        try:
            self.status = self.shell.execute(commands, Io(source, out, err))
        except Exit as end:
            self.status = end.status
        self.out = out.data.decode()
        self.err = err.data.decode()


@pytest.fixture(scope="module")
def shared() -> hidma.Machine:
    """A machine for commands that change nothing."""
    with hidma.boot() as machine:
        yield machine


@pytest.fixture
def own() -> hidma.Machine:
    """A machine for one test."""
    with hidma.boot() as machine:
        yield machine


MODULE_LINES = [
    "Module                  Size  Used by",
    "hidma                  16384  0",
    "hidma_mgmt             16384  0",
]


def hidma_shell(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hidma", "shell", *args], input=stdin, capture_output=True, text=True)


# --- the language ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "out"),
    [
        ("echo a  b", "a b\n"),
        ("echo 'a  b' \"c  d\" e\\ f", "a  b c  d e f\n"),
        ("echo -n a; echo -e 'b\\tc\\x41\\c'", "ab\tcA"),
        ("echo \"'\" '\"' \\\" \\$HOME '$HOME'", '\' " " $HOME $HOME\n'),
        ('A=5; echo $A ${A} "$A$A" $B.', "5 5 55 .\n"),
        ("A='x  y'; echo $A \"$A\"", "x y x  y\n"),
        ("A=1 B=2; A=3 true; echo $A$B", "12\n"),
        ("echo ${X:-none} ${X:=set} $X ${#X} ${X:+there}", "none set set 3 there\n"),
        ("F=/a/b.txt; echo ${F##*/} ${F%.txt} ${F%/*} ${F#/}", "b.txt /a/b /a a/b.txt\n"),
        ("false; echo $?; true; echo $?", "1\n0\n"),
        ("! false && echo yes || echo no", "yes\n"),
        ("false && echo yes || echo no", "no\n"),
        ("true || echo never; echo after", "after\n"),
        ("echo $((2 + 3 * 4)) $((0x10 / 3)) $((-7 % 3)) $((1 << 4 | 1))", "14 5 -1 17\n"),
        ("for i in a 'b c' d; do echo \"<$i>\"; done", "<a>\n<b c>\n<d>\n"),
        ("for i in {1..3} {x,y}z; do echo -n $i,; done", "1,2,3,xz,yz,"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", "1\n3\n"),
        ("until false; do echo once; break; done", "once\n"),
        ("for i in 1 2; do for j in 1 2; do echo $i$j; break 2; done; done", "11\n"),
        ("if false; then echo 1; elif true; then echo 2; else echo 3; fi", "2\n"),
        ("if ! true; then echo 1; else echo 3; fi", "3\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("A=1; (A=2; echo $A); echo $A", "2\n1\n"),
        ('echo $(echo a; echo b) "$(echo a; echo b)"', "a b a\nb\n"),
        ("echo `echo x`", "x\n"),
        ("printf '%s-%d\\n' a 1 b 2", "a-1\nb-2\n"),
        ("printf 'a\\nb\\n' | while read x; do echo \"[$x]\"; done", "[a]\n[b]\n"),
        ("read a b <<< 'one two three'; echo \"$b/$a\"", "two three/one\n"),
        ("# a comment\necho a # another\n", "a\n"),
        ("echo a \\\n b", "a b\n"),
        ("echo '*' \\* \"*\"", "* * *\n"),
        ("echo /nothing/here*", "/nothing/here*\n"),
        ("seq 3; seq 2 3; seq 4 -2 0", "1\n2\n3\n2\n3\n4\n2\n0\n"),
        ("set -e; false || true; if false; then :; fi; false; echo never", ""),
        ("exit 3; echo never", ""),
        (
            "[[ -d / && ! -f / ]] && echo both; [[ abc == a* ]] && echo glob; [[ abc == 'a*' ]] || echo text",
            "both\nglob\ntext\n",
        ),
        (
            "x='a  b'; [[ $x == 'a  b' && $x =~ ^a ]] && echo whole; [[ 2 -lt 10 && b > a ]] && echo order",
            "whole\norder\n",
        ),
        ("case abc in x|y) echo 1;; a?c) echo 2;; *) echo 3;; esac; case x in (y) ;; esac; echo $?", "2\n0\n"),
        ("f() { echo $1 $#; return 3; echo never; }; f 1 2; echo $?", "1 2\n3\n"),
        ("function g { local x=5; echo $x; }; x=1; g; echo $x; set -- a b; shift; echo $1", "5\n1\nb\n"),
        ("for ((i=0; i<5; i+=2)); do [ $i = 2 ] && continue; echo $i; done; eval 'echo $((i*2))'", "0\n4\n12\n"),
        (
            "((x=4)); ((x++)); ((x+=2)); echo $x $((x==7)) $((x--)) $((++x)); let 'y = x * 2'; echo $y; ((0)); echo $?",
            "7 1 7 7\n14\n1\n",
        ),
        ("y=abc; echo ${y:1:1} ${y:1} ${y/b/X} ${y^^} ${y^}; Z=AB; echo ${Z,,} ${Z,}", "b bc aXc ABC Abc\nab aB\n"),
        ("set -o pipefail; false | true; echo $?; set +o pipefail; false | true; echo $?", "1\n0\n"),
        (
            "printf 'a\\0b' | tr '\\0' ' '; echo; echo hello | tr a-y b-z; echo aabb | tr -s ab; echo Hi | tr '[:lower:]' X",
            "a b\nifmmp\nab\nHX\n",
        ),
        (
            "echo a b c | xargs -n2 echo x; echo a b | xargs -I{} echo [{}]; printf 'a b\\0c' | xargs -0 echo",
            "x a b\nx c\n[a b]\na b c\n",
        ),
    ],
)
def test_language_is_as_in_bash(commands: str, out: str, shared: hidma.Machine) -> None:
    result = Result(commands, shared)
    assert (result.out, result.err) == (out, "")
    bash = subprocess.run(["bash", "-c", commands], capture_output=True, text=True)
    assert bash.stdout == out, "bash itself does otherwise"
    assert result.status == bash.returncode


@pytest.mark.parametrize(
    ("commands", "err", "status"),
    [
        ("nonsense", "bash: nonsense: command not found\n", 127),
        ("/sys/nonsense", "bash: /sys/nonsense: No such file or directory\n", 127),
        ("/sys", "bash: /sys: Is a directory\n", 126),
        ("echo )", "bash: syntax error near unexpected token `)'\n", 2),
        ("echo 'a", "bash: unexpected EOF while looking for matching `''\n", 2),
        ("while true; do", "bash: syntax error: unexpected end of file\n", 2),
        ("done", "bash: syntax error near unexpected token `done'\n", 2),
        ("echo a &", "bash: syntax error: nothing runs in the background here (`&')\n", 2),
        ("echo $((1/0))", "bash: 1/0: division by 0\n", 1),
        ("[ a -eq 1 ]", "bash: [: a: integer expression expected\n", 2),
        ("[ 1", "bash: [: missing `]'\n", 2),
        ("exit x", "bash: exit: x: numeric argument required\n", 2),
    ],
)
def test_mistakes_get_bashs_words_and_status(commands: str, err: str, status: int, shared: hidma.Machine) -> None:
    result = Result(commands, shared)
    assert (result.err, result.status) == (err, status)


def test_break_outside_a_loop_and_unset_variables_harm_nothing(shared: hidma.Machine) -> None:
    result = Result(
        "break\necho on; unset HOME USER PS1; cd; pwd; echo ~ $HOME; printf %99999999999999999999d 1", shared
    )
    assert result.out == "on\n/\n/\n"
    assert result.err.startswith("bash: break and continue: only meaningful in a loop\nprintf: ")


def test_commands_before_a_syntax_error_are_run(shared: hidma.Machine) -> None:
    result = Result("echo first\necho )\necho third\n", shared)
    assert (result.out, result.status) == ("first\n", 2)


# --- files ----------------------------------------------------------------------------------------------------------


def test_weight_written_by_echo_is_read_by_cat(own: hidma.Machine) -> None:
    path = "/sys/devices/platform/*hidma-mgmt/chanops/chan0/weight"
    result = Result(f"echo 15 > {path}; cat {path}", own)
    assert (result.out, result.err, result.status) == ("15\n", "", 0)


@pytest.mark.parametrize(
    ("command", "err"),
    [
        ("echo 16 > weight", "bash: echo: write error: Invalid argument\n"),
        ("echo 18446744073709551616 > weight", "bash: echo: write error: Numerical result out of range\n"),
        ("printf x >> weight", "bash: printf: write error: Invalid argument\n"),
        ("echo x | cat > weight", "cat: write error: Invalid argument\n"),
        ("echo x | tee weight >/dev/null", "tee: weight: Invalid argument\n"),
        ("echo 1 > nothing", "bash: nothing: Permission denied\n"),
        ("echo 1 > nowhere/nothing", "bash: nowhere/nothing: No such file or directory\n"),
        ("echo 1 > ../chan0", "bash: ../chan0: Is a directory\n"),
        ("echo 1 > ../../dma_channels", "bash: ../../dma_channels: Permission denied\n"),
        ("echo x > ../../hidma.0/driver/bind", "bash: echo: write error: No such device\n"),
        ("cat nothing", "cat: nothing: No such file or directory\n"),
        ("cat .", "cat: .: Is a directory\n"),
        ("cat weight/x", "cat: weight/x: Not a directory\n"),
        ("cat < nothing", "bash: nothing: No such file or directory\n"),
        ("cat ../../hidma.0/driver/bind", "cat: ../../hidma.0/driver/bind: Permission denied\n"),
        ("cd nothing", "bash: cd: nothing: No such file or directory\n"),
        ("cd weight", "bash: cd: weight: Not a directory\n"),
        ("grep 1 nothing", "grep: nothing: No such file or directory\n"),
        ("head nothing", "head: cannot open 'nothing' for reading: No such file or directory\n"),
        ("find nothing", "find: ‘nothing’: No such file or directory\n"),
        ("rm weight", "rm: cannot remove 'weight': Operation not permitted\n"),
        ("mkdir x", "mkdir: cannot create directory ‘x’: Operation not permitted\n"),
        ("rmdir ../chan0", "rmdir: failed to remove '../chan0': Operation not permitted\n"),
        ("rm ../chan0", "rm: cannot remove '../chan0': Is a directory\n"),
        ("mv weight x", "mv: cannot move 'weight' to 'x': Operation not permitted\n"),
        ("ln -s weight x", "ln: failed to create symbolic link 'x': Operation not permitted\n"),
        ("chmod 600 weight", "chmod: changing permissions of 'weight': Operation not permitted\n"),
        ("chown 1 weight", "chown: changing ownership of 'weight': Operation not permitted\n"),
        ("cp /proc/version weight", "cp: error writing 'weight': Invalid argument\n"),
        ("touch x", "touch: cannot touch 'x': Permission denied\n"),
        ("readlink -z", "readlink: invalid option -- 'z'\nTry 'readlink --help' for more information.\n"),
    ],
)
def test_failures_get_the_words_of_the_program_and_change_nothing(
    command: str, err: str, shared: hidma.Machine
) -> None:
    result = Result(f"cd {MGMT}/chanops/chan0; {command}; echo $?; cat weight", shared)
    assert result.err == err
    assert result.out.splitlines()[-2:] == ["2" if command.startswith("grep") else "1", "1"]


def test_ls_of_what_is_not_there_has_status_2(shared: hidma.Machine) -> None:
    result = Result("ls /nothing /sys/module/hidma", shared)
    assert result.err == "ls: cannot access '/nothing': No such file or directory\n"
    assert result.status == 2
    assert result.out.startswith("/sys/module/hidma:\ncoresize\ndrivers\n")


def test_errors_go_where_they_are_sent(shared: hidma.Machine) -> None:
    result = Result("cat /x 2>/dev/null; cat /x 2>&1 | wc -l; cat /x &>/dev/null; { cat /x; } 2>/dev/null", shared)
    assert (result.out, result.err) == ("1\n", "")


def test_bash_writes_line_by_line_and_others_what_they_have(own: hidma.Machine) -> None:
    seen = []
    shell = Result("true", own).shell
    sink = Buffer()
    entries = shell.vfs.root.entries
    node = entries()["dev"].entries()["null"]
    node.store = lambda data: seen.append(data) or len(data)
    shell.vfs.root.entries = lambda: {**entries(), "dev": node}
    shell.execute(
        "echo -e 'a\\nb' > /dev; printf '15' > /dev; printf '1\\0002' > /dev; echo -n > /dev; printf 'a\\nb\\n' | cat > /dev",
        Io(Input(), sink, sink),
    )
    assert seen == [b"a\n", b"b\n", b"15", b"1\x002", b"a\nb\n"]


def test_ls_long_shows_type_mode_owner_size_and_target(shared: hidma.Machine) -> None:
    result = Result(f"cd {MGMT}; ls -l max_wr_xactions driver; ls -ld .; ls -l chanops/chan0", shared)
    lines = result.out.splitlines()
    assert lines[0].split()[:5] == ["lrwxrwxrwx", "1", "root", "root", "0"]
    assert lines[0].endswith("driver -> ../../../bus/platform/drivers/hidma-mgmt")
    assert lines[1].split()[:5] == ["-rw-rw-rw-", "1", "root", "root", "4096"]
    assert lines[2].startswith("drwxr-xr-x 10 root root 0 ")
    assert lines[3] == "total 0"


def test_ls_sorts_hides_dots_and_goes_down(shared: hidma.Machine) -> None:
    assert Result("ls -a /sys/class", shared).out == ".\n..\ndma\n"
    result = Result("ls -R /sys/class", shared)
    assert result.out.startswith("/sys/class:\ndma\n\n/sys/class/dma:\ndma0chan0\n")
    assert Result("ls /sys/class/dma/", shared).out == "".join(f"dma{n}chan0\n" for n in range(6))


def test_null_is_a_device(shared: hidma.Machine) -> None:
    result = Result("ls -l /dev/null | cut -c1-27; stat -c %F /dev/null; [ -c /dev/null ] && find /dev -type c", shared)
    assert result.out.splitlines() == ["crw-rw-rw- 1 root root 1, 3", "character special file", "/dev/null"]


def test_patterns_match_what_is_there(shared: hidma.Machine) -> None:
    result = Result(
        "cd /sys/class/dma; echo *; echo dma[0-2]*; echo dma[!0-3]chan?; echo /s*/cl*/dma/*5*; echo */", shared
    )
    assert result.out.splitlines() == [
        " ".join(f"dma{n}chan0" for n in range(6)),
        "dma0chan0 dma1chan0 dma2chan0",
        "dma4chan0 dma5chan0",
        "/sys/class/dma/dma5chan0",
        " ".join(f"dma{n}chan0/" for n in range(6)),
    ]


def test_find_and_tree_agree_on_how_much_there_is(shared: hidma.Machine) -> None:
    result = Result(f"cd {MGMT}; find . -type d | wc -l; find . ! -type d | wc -l; tree . | tail -n 1", shared)
    directories, files, summary = result.out.splitlines()
    assert summary == f"{int(directories) - 1} directories, {files} files"
    result = Result(f"find {MGMT} -maxdepth 2 -name 'chan*' -type d; find -name weight -path '*chan3*'", shared)
    assert result.out.splitlines()[0] == f"{MGMT}/chanops"
    assert result.out.splitlines()[-1] == f".{MGMT}/chanops/chan3/weight"


def test_grep_goes_down_a_tree_and_says_what_it_cannot_read(shared: hidma.Machine) -> None:
    result = Result(
        "cd /sys/module/hidma; grep -r . .; echo $?; grep -rl live .; grep -c . initstate; grep -vq live initstate",
        shared,
    )
    lines = result.out.splitlines()
    assert "./initstate:live" in lines and "./parameters/nr_desc_prm:0" in lines
    assert "grep: ./uevent: Permission denied" in result.err
    assert lines[-3:] == ["2", "./initstate", "1"]
    assert result.status == 1


def test_filters_work_on_what_comes_through_a_pipe(shared: hidma.Machine) -> None:
    text = "printf 'b\\na\\nb\\n10\\n9\\n'"
    assert Result(f"{text} | sort", shared).out == "10\n9\na\nb\nb\n"
    assert Result(f"{text} | sort -u | head -n 2", shared).out == "10\n9\n"
    assert Result(f"{text} | sort | uniq -c | sort -rn | head -1", shared).out == "      2 b\n"
    assert Result(f"{text} | tail -n +4 | sort -n", shared).out == "9\n10\n"
    assert Result(f"{text} | grep -n b | cut -d: -f1", shared).out == "1\n3\n"
    assert Result(f"{text} | wc", shared).out == "      5       5      11\n"
    assert Result(f"{text} | cat -n | head -1", shared).out == "     1\tb\n"


def test_slash_behind_a_link_means_the_directory(shared: hidma.Machine) -> None:
    result = Result(
        "cd /sys/class/dma; ls dma0chan0/; ls -ld dma0chan0/; stat -c %F dma0chan0/ dma0chan0; cd dma0chan0/", shared
    )
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[:3] == ["bytes_transferred", "device", "in_use"]
    assert lines[-3].startswith("drwxr-xr-x ")
    assert lines[-2:] == ["directory", "symbolic link"]


def test_bytes_are_shown_as_hexdump_and_xxd_show_them(shared: hidma.Machine) -> None:
    text = "printf 'qcom,hidma-1.0\\0\\001\\377'"
    assert Result(f"{text} | hexdump -C", shared).out == (
        "00000000  71 63 6f 6d 2c 68 69 64  6d 61 2d 31 2e 30 00 01  |qcom,hidma-1.0..|\n"
        "00000010  ff                                                |.|\n00000011\n"
    )
    assert Result(f"{text} | xxd", shared).out == (
        "00000000: 7163 6f6d 2c68 6964 6d61 2d31 2e30 0001  qcom,hidma-1.0..\n"
        "00000010: ff                                       .\n"
    )


def test_a_module_whose_channel_is_in_use_stays(own: hidma.Machine) -> None:
    result = Result(
        "modprobe dmatest iterations=0; cd /sys/module/dmatest/parameters; echo dma1chan0 > channel; echo 1 > run; "
        "lsmod | grep hidma; cat /sys/module/hidma/refcnt; grep ^hidma /proc/modules; rmmod hidma; modprobe -r hidma; "
        "echo 0 > run; cat /sys/module/hidma/refcnt; rmmod hidma && echo gone",
        own,
    )
    assert result.err == "rmmod: ERROR: Module hidma is in use\nmodprobe: FATAL: Module hidma is in use.\n"
    assert result.out.splitlines() == [
        "hidma                  16384  1",
        "hidma_mgmt             16384  0",
        "1",
        "hidma 16384 1 - Live 0x0000000000000000",
        "hidma_mgmt 16384 0 [permanent], Live 0x0000000000000000",
        "0",
        "gone",
    ]


def test_proc_files_are_laid_out_as_the_kernel_does_it(shared: hidma.Machine) -> None:
    lines = Result("dmatest iterations=1 channel=dma0chan0 > /dev/null; cat /proc/interrupts", shared).out.splitlines()
    assert lines[0] == " " * 11 + "".join(f"CPU{n}       " for n in range(8))
    line = re.fullmatch(r"421:((?: +\d+){8})       GIC 421 Level     qcom-hidma", lines[1])
    assert line is not None, lines[1]
    assert len(line[1]) == 8 * 11 and sum(map(int, line[1].split())) > 0
    lines = Result("cat /proc/iomem", shared).out.splitlines()
    assert lines[:2] == ["5c050000-5c050fff : hidma.0", "  5c050000-5c050fff : hidma.0"]
    assert "80000000-8fffffff : System RAM" in lines
    assert "f9984000-f9998fff : /hidma-mgmt@f9984000" in lines
    assert len(lines) == 2 * 2 * 6 + 2


def test_links_are_followed_and_resolved(shared: hidma.Machine) -> None:
    result = Result(
        "cd /sys/class/dma/dma2chan0; pwd; pwd -P; cat in_use; readlink device; readlink -f device/driver; cd ..; pwd",
        shared,
    )
    assert result.out.splitlines() == [
        "/sys/class/dma/dma2chan0",
        f"{MGMT}/hidma.2/dma/dma2chan0",
        "0",
        "../../../hidma.2",
        f"{DRIVERS}/hidma",
        "/sys/class/dma",
    ]


def test_stat_and_test_know_the_files(shared: hidma.Machine) -> None:
    result = Result(
        f"cd {MGMT}; stat -c '%a %F %s %U' max_wr_xactions driver .; stat uevent | head -1; "
        "[ -f uevent -a -d chanops ] && [ -L driver ] && [ ! -e x ] && test -w uevent && echo all",
        shared,
    )
    assert result.out.splitlines() == [
        "666 regular file 4096 root",
        "777 symbolic link 0 root",
        "755 directory 0 root",
        "  File: uevent",
        "all",
    ]


# --- root or not ----------------------------------------------------------------------------------------------------


def test_who_is_not_root_is_kept_out_of_debugfs_and_of_what_is_roots(shared: hidma.Machine) -> None:
    result = Result(
        f"ls /sys/kernel/debug; cat /sys/kernel/debug/hidma.0/stats; echo on > {MGMT}/power/control; "
        "modprobe -r hidma; cd /sys/kernel/debug; whoami",
        shared,
        root=False,
    )
    assert result.err.splitlines() == [
        "ls: cannot open directory '/sys/kernel/debug': Permission denied",
        "cat: /sys/kernel/debug/hidma.0/stats: Permission denied",
        f"bash: {MGMT}/power/control: Permission denied",
        "modprobe: ERROR: could not remove 'hidma': Operation not permitted",
        "bash: cd: /sys/kernel/debug: Permission denied",
    ]
    assert result.out == "user\n"


def test_anybody_writes_the_weights_that_v14_leaves_open(own: hidma.Machine) -> None:
    result = Result(f"echo 9 > {MGMT}/chanops/chan1/weight && cat {MGMT}/chanops/chan1/weight", own, root=False)
    assert (result.out, result.err) == ("9\n", "")


# --- the kernel -----------------------------------------------------------------------------------------------------


def test_unbind_and_bind_move_a_channel(own: hidma.Machine) -> None:
    result = Result(
        f"cd {DRIVERS}/hidma; echo hidma.2 > unbind; ls -d hidma.*; ls /sys/class/dma | wc -l; echo hidma.2 > bind; "
        "ls /sys/class/dma | wc -l; [ -L hidma.2 ] && echo back",
        own,
    )
    assert result.out.split() == ["hidma.0", "hidma.1", "hidma.3", "hidma.4", "hidma.5", "5", "6", "back"]
    assert result.err == ""


def test_modules_are_listed_loaded_with_parameters_and_unloaded(own: hidma.Machine) -> None:
    result = Result(
        "lsmod; rmmod hidma; lsmod | wc -l; modprobe hidma nr_desc_prm=0x20; "
        "cat /sys/module/hidma/parameters/nr_desc_prm; "
        "modprobe hidma; echo $?",
        own,
    )
    assert result.out.splitlines() == [*MODULE_LINES, "2", "32", "0"]
    assert result.err == ""


@pytest.mark.parametrize(
    ("command", "err"),
    [
        ("modprobe nothing", "modprobe: FATAL: Module nothing not found in directory /lib/modules/4.5.0-rc1\n"),
        ("rmmod nothing", "rmmod: ERROR: Module nothing is not currently loaded\n"),
        ("rmmod hidma_mgmt", "rmmod: ERROR: could not remove module hidma_mgmt: Device or resource busy\n"),
        ("insmod ./hidma.ko", "insmod: ERROR: could not load module ./hidma.ko: No such file or directory\n"),
        ("rmmod hidma; modprobe hidma nr_desc_prm=x", "modprobe: ERROR: could not insert 'hidma': Invalid argument\n"),
    ],
)
def test_modules_that_cannot_be_had_are_refused_in_kmods_words(command: str, err: str, own: hidma.Machine) -> None:
    result = Result(command, own)
    assert (result.err, result.status) == (err, 1)


def test_dmatest_runs_on_the_channels_of_this_machine(own: hidma.Machine) -> None:
    result = Result("dmatest iterations=5 channel=dma0chan0; lsmod | grep -c dmatest", own)
    assert "dmatest: Started 1 threads using dma0chan0" in result.out
    assert "dma0chan0-copy0: summary 5 tests, 0 failures" in result.out
    assert result.out.endswith("\n0\n")
    assert Result("dmatest iterations=2", own).out.count("summary 2 tests, 0 failures") == 6


def test_dmatest_that_fails_has_status_1() -> None:
    with hidma.boot(faults="irq-lost") as machine:
        result = Result("dmatest iterations=3 channel=dma0chan0", machine)
        assert result.status == 1
        assert "'test timed out'" in result.out and "summary 3 tests, 1 failures" in result.out


def test_dmatest_says_what_it_does_not_know(shared: hidma.Machine) -> None:
    assert (
        Result("dmatest nonsense=1", shared).err == "dmatest: no such parameter: nonsense; modinfo dmatest shows them\n"
    )
    assert Result("dmatest channel=dma9chan9", shared).err == "dmatest: could not be started: Device or resource busy\n"


def test_kernels_own_files_run_dmatest_too(own: hidma.Machine) -> None:
    result = Result(
        "modprobe dmatest iterations=3; cd /sys/module/dmatest/parameters; echo dma1chan0 > channel; echo 1 > run; "
        "sleep 1; dmesg | tail -1",
        own,
    )
    assert "dma1chan0-copy0: summary 3 tests, 0 failures" in result.out, result.err


def test_dmesg_shows_the_log_and_forgets_it(own: hidma.Machine) -> None:
    result = Result(
        "dmesg | head -1; dmesg -l warn | wc -l; dmesg -t | head -2 | tail -1; dmesg -c > /dev/null; dmesg | wc -l; "
        f"echo 16 > {MGMT}/chanops/chan0/weight; dmesg; dmesg -w",
        own,
    )
    lines = result.out.splitlines()
    assert lines[0].startswith("[    0.000000] Linux version 4.5.0-rc1")
    assert lines[1] == "1"
    assert lines[2] == "Machine model: HIDMA host"
    assert lines[3] == "0"
    assert lines[4].endswith("hidma-mgmt f9984000.hidma-mgmt: max value of weight can be 15.") and len(lines) == 5
    assert result.err.splitlines()[-1].startswith("dmesg: -w waits for new lines")


def test_time_is_virtual_and_passes_when_told(own: hidma.Machine) -> None:
    began = own.now
    result = Result("sleep 0.5; run 5ms; run 7us; sleep 1m", own)
    assert (result.status, own.now - began) == (0, 500_000_000 + 5_000_000 + 7_000 + 60_000_000_000)
    assert Result("time run 5ms", own).err == "\nreal\t0m0.005000000s\n"
    assert Result("run 5", own).err.startswith("run: how long?")
    assert Result("sleep x", own).err == "sleep: invalid time interval 'x'\n"


def test_device_is_suspended_after_its_autosuspend_delay(own: hidma.Machine) -> None:
    path = f"{MGMT}/power/runtime_status"
    assert Result(f"cat {path}; sleep 3; cat {path}", own).out == "active\nsuspended\n"


# --- the program ----------------------------------------------------------------------------------------------------


def test_program_runs_minus_c_and_ends_with_the_status_of_the_last_command() -> None:
    done = hidma_shell(
        "-c", f"echo 15 > /sys/devices/platform/*hidma-mgmt/chanops/chan0/weight; cat {MGMT}/chanops/chan0/weight"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("15\n", "", 0)
    assert hidma_shell("-c", "true; ls /nothing").returncode == 2
    assert hidma_shell("-c", "exit 7; true").returncode == 7
    assert hidma_shell("-c", 'echo "$0 $# $1"', "name", "one two").stdout == "name 1 one two\n"


def test_program_reads_a_script_from_standard_input() -> None:
    done = hidma_shell(stdin="for i in 0 1; do\n  cat /sys/class/dma/dma$i*/device/chid\ndone\nfalse\n")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n1\n", "", 1)


def test_program_runs_a_script_with_arguments(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho $# "$1" $2 $(cat)\n')
    done = hidma_shell(str(script), "a b", "-c", stdin="read from me")
    assert (done.stdout, done.returncode) == ("2 a b -c read from me\n", 0)
    done = hidma_shell(str(tmp_path / "none"))
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr and "Traceback" not in done.stderr


def test_program_is_not_root_when_told_and_takes_a_board() -> None:
    done = hidma_shell("--user", "--board", "guest", "-c", "id -u; ls /sys/kernel/debug")
    assert (done.stdout, done.returncode) == ("1000\n", 2)
    assert hidma_shell("--board", "nothing", "-c", "true").returncode == 2


def test_oops_is_shown_as_on_a_console_and_ends_the_shell() -> None:
    # row 37: WRITE_PTR equal to the size of the ring
    size = hidma_shell(
        "-c", "grep evre_ring_size /sys/kernel/debug/hidma.0/chan0/stats | tail -n 1 | cut -d' ' -f3"
    ).stdout.strip()
    done = hidma_shell("--fault", f"write-ptr:{size}@chan0", "-c", "dmatest iterations=5 channel=dma0chan0; echo never")
    assert done.returncode == 1, done.stderr
    assert "row 37" in done.stderr
    assert "Internal error: Oops:" in done.stderr and "Kernel panic - not syncing" in done.stderr
    assert "never" not in done.stdout
    assert "Traceback" not in done.stderr


def test_completion_offers_commands_modules_parameters_and_paths(shared: hidma.Machine) -> None:
    shell = Shell(shared)
    assert completions(shell, "dm", 0, "dm") == ["dmatest ", "dmesg "]
    assert completions(shell, "cat /sys/cl", 4, "/sys/cl") == ["/sys/class/"]
    assert completions(shell, "ls /sys/module/hidma/init", 3, "/sys/module/hidma/init") == [
        "/sys/module/hidma/initstate "
    ]
    assert completions(shell, "modprobe hidma", 9, "hidma") == ["hidma ", "hidma_mgmt "]
    assert completions(shell, "modprobe hidma nr", 15, "nr") == ["nr_desc_prm="]
    assert completions(shell, "dmatest iter", 8, "iter") == ["iterations="]
    assert completions(shell, "dmatest channel=dma4", 16, "dma4") == ["dma4chan0 "]
    assert completions(shell, "cd /sys/module/hidma/", 3, "/sys/module/hidma/") == [
        f"/sys/module/hidma/{name}/" for name in ("drivers", "holders", "parameters")
    ]
    assert "while " in completions(shell, "true; wh", 6, "wh")
    shell.cwd = "/sys/class"
    assert completions(shell, "cd d", 3, "d") == ["dma/"]


class Terminal:
    """The program on a terminal."""

    def __init__(self, state: Path, before: Callable[[], object] = lambda: None) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            before()
            os.environ.update(XDG_STATE_HOME=str(state), TERM="dumb", COLUMNS="80")
            os.execv(sys.executable, [sys.executable, "-m", "hidma", "shell"])
        self.seen = ""

    def until(self, text: str) -> str:
        """Read until ``text`` has come; what came before it."""
        limit = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < limit, f"{text!r} did not come: {self.seen!r}"
            if select.select([self.fd], [], [], 1)[0]:
                self.seen += os.read(self.fd, 65536).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_terminal_has_a_prompt_completion_continuation_history_and_survives_ctrl_c(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.until("/ # ")
    terminal.type("cd /sys/cla\t\n")
    terminal.until("/sys/class # ")
    terminal.type("for i in 1 2; do\n")
    terminal.until("> ")
    terminal.type("echo $i-$i\ndone\n")
    terminal.until("1-1\r\n2-2\r\n")
    terminal.until("/sys/class # ")
    terminal.type("while true; do sleep 1; done\n")
    terminal.until("\n")
    terminal.type("\x03")
    terminal.until("/sys/class # ")
    terminal.type("echo $?\n")
    terminal.until("130\r\n")
    terminal.type("history\n")
    terminal.until("1  cd /sys/class/")
    terminal.type("exit 5\n")
    assert terminal.end() == 5
    assert "cd /sys/class" in (tmp_path / "hidma" / "shell_history").read_text()


def test_ctrl_c_right_behind_a_line_is_not_lost(shared: hidma.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["sleep 1; echo not reached", "echo $?"])
    pressed: list[str] = []

    def line(prompt: str) -> str:
        for text in typed:
            return text
        raise EOFError

    def press(text: str) -> bool:
        if not pressed:
            pressed.append(text)
            os.kill(os.getpid(), signal.SIGINT)
        return unfinished(text)

    monkeypatch.setattr("builtins.input", line)
    monkeypatch.setattr(app, "unfinished", press)
    out, err = Buffer(), Buffer()
    shell = Shell(shared, True, Input())
    io = Io(Input(), out, err)
    prompt = Prompt(shell, io)
    prompt.readline = None
    with interrupts(shell, prompt):
        prompt.run()
    assert out.data.decode() == "130\nexit\n"


def test_ctrl_c_between_the_lines_of_a_command_gives_it_up(
        shared: hidma.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["for i in 1 2; do", "echo $?"])

    def line(prompt: str) -> str:
        for text in typed:
            if text.startswith("for"):
                prompt_.shell.interrupted = True
            return text
        raise EOFError

    monkeypatch.setattr("builtins.input", line)
    out, err = Buffer(), Buffer()
    prompt_ = Prompt(Shell(shared, True, Input()), Io(Input(), out, err))
    prompt_.readline = None
    prompt_.run()
    assert (out.data.decode(), err.data.decode()) == ("130\nexit\n", "^C\n")


@pytest.mark.parametrize("inherited", ["ignored", "blocked"])
def test_terminal_takes_ctrl_c_whatever_the_shell_was_started_with(tmp_path: Path, inherited: str) -> None:
    def before() -> None:
        if inherited == "ignored":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    terminal = Terminal(tmp_path, before)
    terminal.until("/ # ")
    terminal.type("while true; do sleep 1; done\n")
    terminal.until("\n")
    terminal.type("\x03")
    terminal.until("/ # ")
    terminal.type("echo $?\n")
    terminal.until("130\r\n")
    terminal.type("exit 0\n")


def test_terminal_gives_commands_what_is_typed_line_by_line(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.until("/ # ")
    terminal.type("read x y; echo [$y]\n")
    terminal.until("\n")
    terminal.type("one two three\n")
    terminal.until("[two three]\r\n")
    terminal.until("/ # ")
    for text in ("some", "more"):  # more than once: an end of file is of one command only
        terminal.type("cat -E\n")
        terminal.until("\n")
        terminal.type(f"{text}\n")
        terminal.until(f"{text}$\r\n")  # not what the terminal itself echoes, or does not
        terminal.type("\x04")
        terminal.until("/ # ")
    terminal.type("ls /sys/module/hidma\t\t")
    terminal.until("hidma/  hidma_mgmt/\r\n")
    terminal.type("\nexit\n")
    assert terminal.end() == 0


# --- VFIO and reset plugins -------------------------------------------------------------------------------------------


def test_reset_plugin_is_loaded_by_what_it_matches_and_needs_others(own: hidma.Machine) -> None:
    result = Result("modprobe QCOM8061; lsmod; modprobe QCOM8061; echo $?; modprobe -r QCOM8061; lsmod | grep -c qcomhidma", own)
    assert result.out.splitlines() == [
        "Module                  Size  Used by",
        "vfio_platform_qcomhidma    16384  0",
        "vfio_platform_base     16384  1 vfio_platform_qcomhidma",
        "vfio                   16384  1 vfio_platform_base",
        "hidma                  16384  0",
        "hidma_mgmt             16384  0",
        "0",
        "0",
    ]


def test_modinfo_of_a_reset_plugin(shared: hidma.Machine) -> None:
    out = Result("modinfo vfio_platform_qcomhidma", shared).out
    assert "alias:          vfio-reset:qcom,hidma-1.0\n" in out and "depends:        vfio_platform_base\n" in out
    assert "reset plugin 'QCOM8061' of hidma" in out


def test_channel_goes_to_vfio_by_hand(own: hidma.Machine) -> None:
    result = Result(
        "modprobe vfio-platform; cd /sys/bus/platform; echo hidma.1 > drivers/hidma/unbind; "
        "echo vfio-platform > devices/hidma.1/driver_override; echo hidma.1 > drivers/vfio-platform/bind; "
        "readlink devices/hidma.1/driver; ls /sys/kernel/iommu_groups/1/devices; rmmod vfio_platform_base",
        own,
    )
    assert result.out == "../../../../bus/platform/drivers/vfio-platform\nhidma.1\n"
    assert result.err == "rmmod: ERROR: Module vfio_platform_base is in use\n"


def test_completion_knows_reset_plugins(own: hidma.Machine) -> None:
    shell = Result("true", own).shell
    assert completions(shell, "modprobe qcom", 9, "qcom") == ["qcom,hidma-1.0 "]
    assert "vfio_platform " in completions(shell, "rmmod vfio", 6, "vfio")
