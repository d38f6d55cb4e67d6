"""Commands of a build led into the image: what each path, variable and separator becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.relocation import relocated, unproven

# A command, and below it what runs where the image lies in /R and its Python in /V.
CASES = r"""
find / -name '*.pyc' -delete
find /R -name '*.pyc' -delete
cd / && rm -rf tmp/*
cd /R && rm -rf tmp/*
cd /; rm -rf *
cd /R; rm -rf *
tar -C / -xf a
tar -C /R -xf a
tar -C/ -xf a
tar -C/R -xf a
ln -sf /usr/bin/python3 /usr/bin/python
ln -sf /R/usr/bin/python3 /R/usr/bin/python
cp a /bin/
cp a /R/bin/
rm -rf /usr/bin/foo /dev/shm/*
rm -rf /R/usr/bin/foo /R/dev/shm/*
rm -rf //var/lib /proc/../etc /usr/bin/../../etc
rm -rf /R/var/lib /R/etc /R/etc
rm ~root/x ~/y ~me/z
rm /R/root/x ~/y /R/home/me/z
rm -rf $UNSET/lib ${X}/y "$A"/b "$A/c"
rm -rf ${UNSET:-/R}/lib ${X:-/R}/y "${A:-/R}"/b "${A:-/R}/c"
rm -rf "/" '/' /
rm -rf "/R" '/R' /R
rm -rf "/"etc '/'/etc '/e'tc
rm -rf "/R/"etc '/R/'/etc '/R/e'tc
echo x > /dev/null 2>/dev/sda
echo x > /dev/null 2>/R/dev/sda
/usr/bin/env python x && /bin/rm -rf /a
/usr/bin/env python x && /bin/rm -rf /R/a
find /a -exec /bin/rm {} +
find /R/a -exec /bin/rm {} +
printf '#!/bin/sh\necho' > /usr/bin/tool
printf '#!/bin/sh\necho' > /R/usr/bin/tool
sh -c "cd /x; /bin/ls /y"
sh -c "cd /R/x; /bin/ls /R/y"
python -c "import os; os.remove('/bin/sh'); 'a/b'.split('/'); 7 // 2"
python -c "import os; os.remove('/R/bin/sh'); 'a/b'.split('/'); 7 // 2"
cut -d / -f 1 /etc/x; tr '/' _; expr 4 / 2; echo $((a / 2))
cut -d / -f 1 /R/etc/x; tr '/' _; expr 4 / 2; echo $((a / 2))
sed -i '/foo/d' '/etc/hosts'
sed -i '/foo/d' '/R/etc/hosts'
sed -e '/foo/d' /etc/a; sed s/a/b/ /etc/b
sed -e '/foo/d' /R/etc/a; sed s/a/b/ /R/etc/b
curl https://a.b/c//d -o /x.tar
curl https://a.b/c//d -o /R/x.tar
pip install file:///opt/x --find-links=/w
pip install file:///R/opt/x --find-links=/R/w
cp --dirs=/a,/b ""/etc \/etc /[e]tc /$X "/$X"
cp --dirs=/R/a,/R/b ""/R/etc \/R/etc /R/[e]tc /R/$X "/R/$X"
./configure --prefix=/usr/local DESTDIR=/
./configure --prefix=/R/usr/local DESTDIR=/R
/usr/local/bin/python x; /.uv/uv pip install a
/V/bin/python x; uv pip install a
dd of=/ if=/dev/zero
dd of=/R if=/dev/zero
a/b ./c ../d $HOME/e x:/f
a/b ./c ../d ${HOME:-/R}/e x:/f
cat /proc/cpuinfo; echo b > /proc/sysrq-trigger
cat /proc/cpuinfo; echo b > /R/proc/sysrq-trigger
awk '{print $1/2}' f; X=/ rm -rf /
awk '{print $1/2}' f; X=/R rm -rf /R
sh -c "cd / && rm -rf *"; bash -lc 'cd /; ls'
sh -c "cd /R && rm -rf *"; bash -lc 'cd /R; ls'
eval "rm -rf / /x" && sh -c 'expr 4 / 2; rm -rf $X/y ~me /[a]*'
eval "rm -rf /R /R/x" && sh -c 'expr 4 / 2; rm -rf ${X:-/R}/y /R/home/me /R/[a]*'
rm -rf ${X:-/etc} "${X-/etc}" ${X:+/etc} ${X:=/etc} ${X:-/}
rm -rf ${X:-/R/etc} "${X-/R/etc}" ${X:+/R/etc} ${X:=/R/etc} ${X:-/R}
sed -i -e's/a/b/' /etc/hosts; sed --expression=s/a/b/ -i /etc/hosts; sed -ne '/a/p' -f/s /etc/x
sed -i -e's/a/b/' /R/etc/hosts; sed --expression=s/a/b/ -i /R/etc/hosts; sed -ne '/a/p' -f/R/s /R/etc/x
sed -e'/foo/d' -e '/bar/d' /a; grep -e/foo/ /b; grep --file=/c --regexp=/d /e; awk -F/ '/x/' /f
sed -e'/foo/d' -e '/bar/d' /R/a; grep -e/foo/ /R/b; grep --file=/R/c --regexp=/d /R/e; awk -F/ '/x/' /R/f
gcc -I/inc -L/lib -b/x a.c; tool '-o/p q'; tool --out=/p --opt='/q'
gcc -I/R/inc -L/R/lib -b/R/x a.c; tool '-o/R/p q'; tool --out=/R/p --opt='/R/q'
"""
LINES = CASES.strip().splitlines()


@pytest.mark.parametrize(("command", "led"), list(zip(LINES[::2], LINES[1::2], strict=True)))
def test_a_path_leads_into_the_image_and_what_is_no_path_stays(command: str, led: str) -> None:
    assert relocated(command, Place(Path("/R")), Path("/V")) == led


def test_a_directory_with_spaces_is_one_word_in_every_kind_of_quotes() -> None:
    led = relocated("rm -rf / /a \"/b\" '/c' $X/d", Place(Path("/R x$")), Path("/V"))
    assert led == r"""rm -rf /R\ x\$ /R\ x\$/a "/R x\$/b" '/R x$/c' ${X:-/R\ x\$}/d"""


@pytest.mark.parametrize(
    ("command", "reader"),
    [
        ("echo / | xargs rm -rf", "xargs"),
        ('sh -c "IFS=/; rm -rf $IFS"', "sh"),
        ('sh -c "cd \\"/\\" && rm -rf x"', None),
        ("echo 'cd / && rm -rf x' | bash", "bash"),
        ("""python3 -c "import shutil; shutil.rmtree('/')" """, "python3"),
        ("find a -exec sh -c 'rm -rf $0/' / {} +", None),
        ('sh -c "cd / && rm -rf x"', None),
        ("cut -d / -f 1 x && python y.py", None),
        ("pip install a/b https://a.b/c", None),
    ],
)
def test_text_with_a_path_that_is_left_is_named_with_what_reads_it(command: str, reader: str | None) -> None:
    assert unproven(command) == reader


def test_a_path_with_spaces_in_another_shells_text_is_one_word() -> None:
    led = relocated("""sh -c 'cd / && ls /a' && sh -c "cd / && ls '/a'" """, Place(Path("/R x")), Path("/V"))
    assert led == r"""sh -c 'cd /R\ x && ls /R\ x/a' && sh -c "cd /R\\ x && ls '/R x/a'" """
