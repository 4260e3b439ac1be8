"""Write the dashboards from the catalogues.

    python -m deploy.grafana.generate

They are committed, so that Grafana can be pointed at them; a test compares them.
"""

import json
from pathlib import Path

from deploy.grafana.dashboards import all_dashboards

FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Return the text of every file."""
    return {
        FOLDER / f"{name}.json": json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        for name, made in all_dashboards().items()
    }


def main() -> None:
    """Write what has changed."""
    for path, text in files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.name} written")


if __name__ == "__main__":
    main()
