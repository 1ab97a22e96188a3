"""The small project that the demo works on: a shop with a rule in its README that the code gets wrong."""

import subprocess
from pathlib import Path

TASK_TITLE = "Free shipping is missing at exactly 50.00"
TASK_PROMPT = """Customers with a basket of exactly 50.00 still pay for shipping.
The README promises free shipping from 50.00 on. Find the cause, fix it with a test that proves it,
check the edges, and note it in the changelog.
"""

FILES = {
    "README.md": """# Corner shop

Prices of a very small shop. Amounts are `Decimal`, in euros.

- Shipping costs 4.90.
- Shipping is free from a basket of 50.00 on.
- Five or more of one article: 10 % off that article.

Run the tests: `python3 -m unittest`
""",
    "CHANGELOG.md": """# Changelog

## Unreleased

## 1.2.0

- Five or more of one article cost 10 % less.
""",
    "shop/__init__.py": '"""Prices of the corner shop."""\n',
    "shop/basket.py": '''"""What a customer wants to buy."""

from dataclasses import dataclass, field
from decimal import Decimal

BULK_FROM = 5
BULK_FACTOR = Decimal("0.90")


@dataclass(frozen=True)
class Line:
    """An article and how many of it."""

    article: str
    price: Decimal
    quantity: int = 1

    @property
    def total(self) -> Decimal:
        factor = BULK_FACTOR if self.quantity >= BULK_FROM else Decimal(1)
        return (self.price * self.quantity * factor).quantize(Decimal("0.01"))


@dataclass
class Basket:
    """Lines in the order in which they were added."""

    lines: list[Line] = field(default_factory=list)

    def add(self, article: str, price: str, quantity: int = 1) -> None:
        self.lines.append(Line(article, Decimal(price), quantity))

    @property
    def subtotal(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal("0.00"))
''',
    "shop/shipping.py": '''"""What it costs to send a basket."""

from decimal import Decimal

from shop.basket import Basket

SHIPPING = Decimal("4.90")
FREE_FROM = Decimal("50.00")


def shipping_cost(basket: Basket) -> Decimal:
    """The shipping of a basket; nothing for an empty one."""
    if not basket.lines:
        return Decimal("0.00")
    if basket.subtotal > FREE_FROM:
        return Decimal("0.00")
    return SHIPPING
''',
    "tests/__init__.py": "",
    "tests/test_basket.py": '''import unittest
from decimal import Decimal

from shop.basket import Basket


class BasketTest(unittest.TestCase):
    def test_subtotal_adds_lines(self) -> None:
        basket = Basket()
        basket.add("tea", "3.20", 2)
        basket.add("mug", "8.00")
        self.assertEqual(basket.subtotal, Decimal("14.40"))

    def test_five_of_one_article_cost_less(self) -> None:
        basket = Basket()
        basket.add("tea", "2.00", 5)
        self.assertEqual(basket.subtotal, Decimal("9.00"))
''',
    "tests/test_shipping.py": '''import unittest
from decimal import Decimal

from shop.basket import Basket
from shop.shipping import shipping_cost


def basket_of(price: str) -> Basket:
    basket = Basket()
    basket.add("voucher", price)
    return basket


class ShippingTest(unittest.TestCase):
    def test_small_basket_pays(self) -> None:
        self.assertEqual(shipping_cost(basket_of("12.00")), Decimal("4.90"))

    def test_large_basket_is_free(self) -> None:
        self.assertEqual(shipping_cost(basket_of("80.00")), Decimal("0.00"))
''',
    ".gitignore": "__pycache__/\n",
}


def make_project(folder: Path) -> None:
    """Write the project into a new folder and commit it, free of the user's own git settings."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "Charge less for five of one article")


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Corner Shop", "-c", "user.email=shop@example.invalid", "-c", "commit.gpgsign=false")
    nobody = ("-c", "core.hooksPath=/dev/null", "-c", "init.templateDir=")
    subprocess.run(["git", *person, *nobody, *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL)
