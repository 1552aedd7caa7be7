"""The front door (being built)."""

def main() -> int:
    return 0
