"""Without torch, faltung works, and faltung.torch says what it needs."""

import subprocess
import sys


def test_without_torch_the_error_says_how_to_install_it() -> None:
    # A name that is None in sys.modules cannot be imported.
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import faltung\n"
        "try:\n    import faltung.torch\n"
        "except ImportError as error:\n    print(error.name, error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "torch faltung.torch needs torch, which is not installed; run: pip install torch"
