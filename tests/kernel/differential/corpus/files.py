"""Files beside the notebook: sent, read, changed, written and fetched."""

from __future__ import annotations

from corpus.case import Case
from corpus.local_modules import file

CASES = (
    Case(
        "a shipped file is read",
        "text = open('files_one.txt').read()\nlen(text)",
        fast=True,
        setup=(file("files_one.txt", "one\ntwo\n"),),
        options="--file files_one.txt",
    ),
    Case(
        "a table is read by pandas",
        "import pandas as pd\nframe = pd.read_csv('files_two/table.csv', index_col='k')\nframe",
        setup=(file("files_two/table.csv", "k,v\n1,2.5\n3,4.5\n"),),
        options="--file files_two",
    ),
    Case(
        "a folder is listed",
        """
        import os, pathlib
        names = sorted(os.listdir('files_three'))
        sizes = {path.name: path.stat().st_size for path in pathlib.Path('files_three').iterdir()}
        """,
        setup=(file("files_three/a", "x"), file("files_three/b", "yy")),
        options="--file files_three",
    ),
    Case(
        "files of a pattern",
        "import glob\ntexts = [open(path).read() for path in sorted(glob.glob('files_four/*.txt'))]",
        setup=(file("files_four/1.txt", "1"), file("files_four/2.txt", "2")),
        options="--file 'files_four/*.txt'",
    ),
    Case(
        "a fetched file is read here",
        """
        import os
        os.makedirs('files_five', exist_ok=True)
        with open('files_five/out.txt', 'w') as handle:
            count = handle.write('written there')
        del handle
        """,
        then=("print(open('files_five/out.txt').read(), count)",),
        options="--fetch 'files_five/*'",
        fast=True,
    ),
    Case(
        "a shipped file is changed and fetched",
        "with open('files_six.txt', 'a') as handle:\n    count = handle.write(' and more')\ndel handle",
        setup=(file("files_six.txt", "first"),),
        then=("print(open('files_six.txt').read())",),
        options="--file files_six.txt --fetch files_six.txt",
    ),
    Case(
        "arrays are saved and loaded",
        "import numpy as np\nnp.save('files_seven.npy', np.arange(6).reshape(2, 3))",
        then=("import numpy as np\nback = np.load('files_seven.npy')",),
        options="--fetch files_seven.npy",
    ),
    Case(
        "a shipped module's data file is found beside the notebook",
        "result = [row for row in csv.reader(open('files_eight.csv'))]",
        setup=(file("files_eight.csv", "a,b\nc,d\n"), "import csv"),
        options="--file files_eight.csv",
    ),
    Case(
        "a program of the folder is run",
        "x = !sh files_nine/say.sh there\nsaid = list(x)\ndel x",
        setup=(file("files_nine/say.sh", "echo hello $1\n"),),
        options="--file files_nine",
    ),
    Case(
        "a file that is not there is not sent",
        "open('files_ten.txt')",
        options="--file files_ten.txt",
        refused="no such file",
    ),
)
