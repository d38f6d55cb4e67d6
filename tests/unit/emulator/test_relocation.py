"""Commands of a build led into the image: what each path, variable and separator becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.relocation import relocated

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
"""
LINES = CASES.strip().splitlines()


@pytest.mark.parametrize(("command", "led"), list(zip(LINES[::2], LINES[1::2], strict=True)))
def test_a_path_leads_into_the_image_and_what_is_no_path_stays(command: str, led: str) -> None:
    assert relocated(command, Place(Path("/R")), Path("/V")) == led


def test_a_directory_with_spaces_is_one_word_in_every_kind_of_quotes() -> None:
    led = relocated("rm -rf / /a \"/b\" '/c' $X/d", Place(Path("/R x$")), Path("/V"))
    assert led == r"""rm -rf /R\ x\$ /R\ x\$/a "/R x\$/b" '/R x$/c' ${X:-/R\ x\$}/d"""
