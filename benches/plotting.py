"""What the plot scripts share: a drawing library that needs no screen, and tables in Markdown."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["number", "plt", "table"]


def table(head, rows):
    """`rows`: cells by the name of the row."""
    print("\n|" + "|".join(["", *head]) + "|\n|" + "---|" * (len(head) + 1))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def number(value):
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
