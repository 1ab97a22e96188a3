"""The roles of the demo: they really read, edit and run the sample project.

Each looks at what the tools returned: a project that is already fixed, or another project, gets an
honest answer instead of the next prepared call.
"""

import re

from app.demo.demo_moves import Move, Role, bash, edit, handoff, never, read, result_of
from app.demo.demo_release import RELEASE_MANAGER
from app.demo.provider_script import Call, Request

TESTS = "python3 -m unittest"
_FIXED = "basket.subtotal >= FREE_FROM"
_BROKEN = "basket.subtotal > FREE_FROM"


UNPREPARED = handoff(
    "Nothing. The models of this demo are scripts and know the shop's shipping defect only.",
    "None.",
    "None.",
    "Connect a real provider and run `paceline serve` to have work of your own done.",
)

_ELSEWHERE = handoff(
    "Looked for `shop/shipping.py` and did not find the defect that this demo is about.",
    "Changed nothing.",
    "Is this the directory of the demo's shop?",
    "The models of this demo are scripts; they can only work on the sample project.",
)


def _architect_stop(request: Request) -> str | None:
    if request.turn < 2:
        return None
    code = result_of(request, 1)
    if _FIXED in code:
        return handoff(
            "Read `README.md` and `shop/shipping.py`. The comparison is `>=` already: the defect is fixed.",
            "No change is needed.",
            "None.",
            "Check that a test covers a basket of exactly 50.00.",
        )
    return None if _BROKEN in code else _ELSEWHERE


def _developer_stop(request: Request) -> str | None:
    if request.turn < 1:
        return None
    code = result_of(request, 0)
    if _FIXED in code:
        return handoff(
            "Read `shop/shipping.py`: `shipping_cost` compares with `>=` already. Changed nothing.",
            "Left the working code alone.",
            "None.",
            f"Run `{TESTS}`; everything should pass.",
        )
    return None if _BROKEN in code else _ELSEWHERE


_DEFECT_TEST = '''    def test_basket_of_exactly_the_limit_is_free(self) -> None:
        self.assertEqual(shipping_cost(basket_of("50.00")), Decimal("0.00"))
'''

_LAST_TEST = '''        self.assertEqual(shipping_cost(basket_of("80.00")), Decimal("0.00"))
'''

_EDGE_TESTS = '''"""Edges of the shipping rule: around the limit, after a discount, and without anything to send."""

import unittest
from decimal import Decimal

from shop.basket import Basket
from shop.shipping import FREE_FROM, SHIPPING, shipping_cost

CENT = Decimal("0.01")


class ShippingEdgesTest(unittest.TestCase):
    def test_around_the_limit(self) -> None:
        for amount, expected in ((FREE_FROM - CENT, SHIPPING), (FREE_FROM, 0), (FREE_FROM + CENT, 0)):
            with self.subTest(amount=amount):
                basket = Basket()
                basket.add("voucher", str(amount))
                self.assertEqual(shipping_cost(basket), expected)

    def test_the_discount_counts_first(self) -> None:
        basket = Basket()
        basket.add("tea", "11.00", 5)
        self.assertEqual(basket.subtotal, Decimal("49.50"))
        self.assertEqual(shipping_cost(basket), SHIPPING)

    def test_an_empty_basket_costs_nothing(self) -> None:
        self.assertEqual(shipping_cost(Basket()), 0)
'''

_PROBE = (
    "python3 -c \"from shop.basket import Basket; from shop.shipping import shipping_cost\n"
    "for amount in ('0.01', '49.99', '50.00', '50.01'):\n"
    "    basket = Basket(); basket.add('voucher', amount); print(amount, shipping_cost(basket))\""
)


def _architect_closing(_request: Request) -> str:
    return handoff(
        "Compared `README.md` with `shop/shipping.py` and ran the tests. The README says free shipping *from* 50.00 "
        "on, the code asks `basket.subtotal > FREE_FROM`: a basket of exactly 50.00 pays 4.90. No test covers the "
        "limit itself, so the suite is green.",
        "- The README is right and the code is wrong.\n- Smallest fix: `>=` in `shipping_cost`, nothing else.\n"
        "- The test goes into `tests/test_shipping.py` and has to fail before the fix.",
        "None.",
        "Change one comparison in `shop/shipping.py`, line 16. Prove it with a basket of exactly 50.00. "
        f"Run `{TESTS}`.",
    )


def _developer_closing(request: Request) -> str:
    before = "failed as expected" if "FAILED" in result_of(request, 3) else "ran"
    after = "all tests pass" if "OK" in result_of(request, 5) else "see the output of the last run"
    return handoff(
        f"- Added `test_basket_of_exactly_the_limit_is_free` to `tests/test_shipping.py`; it {before}.\n"
        f"- Changed `>` to `>=` in `shop/shipping.py`; {after} (`{TESTS}`).",
        "Kept `FREE_FROM` and the signature as they are: callers need no change.",
        "Should the discount for five articles count before the limit? The code says yes, the README says nothing.",
        "Check 49.99, 50.00 and 50.01, and a basket that only a discount brings below 50.00.",
    )


def _qa_closing(request: Request) -> str:
    passed = "passes" if "OK" in result_of(request, 2) else "does not pass, see the last output"
    return handoff(
        "| case | expected | result |\n|---|---|---|\n"
        "| 49.99 | 4.90 | ok |\n| 50.00 | 0.00 | ok |\n| 50.01 | 0.00 | ok |\n"
        "| 55.00 before, 49.50 after the discount | 4.90 | ok |\n| empty basket | 0.00 | ok |\n\n"
        f"Added `tests/test_shipping_edges.py` with these cases; the whole suite {passed} (`{TESTS}`).",
        "The discount counts before the limit, as the code did before; a test holds it now.",
        "None that stops the release.",
        "The fix is complete. Announce it as: baskets of exactly 50.00 are sent free of charge.",
    )


def _release_closing(request: Request) -> str:
    note = _approval_note(request)
    heard = f"Took up the note of the approval: *{note}*" if note else "The approval came without a note."
    return handoff(
        "Added the fix to `CHANGELOG.md` under *Unreleased* and looked at the complete difference once more.",
        f"{heard}\nWrote one line, in the words of a customer and not of the code.",
        "None.",
        "Nothing is left to do. The changes are in the working tree, uncommitted, for a person to look at.",
    )


def _approval_note(request: Request) -> str:
    found = re.search(r"# Note from the person[^\n]*\n\n(.+?)(?=\n\n# |\Z)", request.prompt, re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


ROLES = (
    Role(
        mark="You are the architect.",
        moves=(
            Move(
                read("README.md"),
                "I start with what the shop promises.",
                think="A limit that is off by one case is usually a comparison. First the rule, then the code.",
            ),
            Move(read("shop/shipping.py"), "The README says *from 50.00 on*. Now the code that decides it."),
            Move(
                bash(TESTS, "Run the test suite"),
                "There it is: `basket.subtotal > FREE_FROM`. Is there a test that should have caught it?",
                think="`>` leaves out the limit itself. If the suite is green, the limit is not tested.",
            ),
        ),
        closing=_architect_closing,
        stop=_architect_stop,
    ),
    Role(
        mark="You are the developer.",
        moves=(
            Move(
                read("shop/shipping.py"),
                "I look at the place that the plan names.",
                think="Test first: it has to fail for the right reason, then one character changes.",
            ),
            Move(read("tests/test_shipping.py"), "And at the tests beside it."),
            Move(
                edit("tests/test_shipping.py", _LAST_TEST, f"{_LAST_TEST}\n{_DEFECT_TEST}"),
                "First a test for a basket of exactly 50.00.",
            ),
            Move(bash(TESTS, "Run the tests, expecting one failure"), "It must fail now."),
            Move(
                edit("shop/shipping.py", f"if {_BROKEN}:", f"if {_FIXED}:"),
                "It fails because shipping is charged. Now the fix.",
                think="Only the comparison. The constant and the signature stay.",
            ),
            Move(bash(TESTS, "Run the tests again"), "And once more."),
        ),
        closing=_developer_closing,
        stop=_developer_stop,
    ),
    Role(
        mark="You are responsible for quality.",
        moves=(
            Move(
                bash(_PROBE, "Ask for the shipping around the limit"),
                "I ask the shop itself, around the limit.",
                think="The limit, one cent to each side, a discount that moves a basket across it, and nothing at all.",
            ),
            Move(
                Call("write", {"filePath": "tests/test_shipping_edges.py", "content": _EDGE_TESTS}),
                "As expected. These edges deserve tests of their own.",
            ),
            Move(bash(f"{TESTS} -v", "Run the whole suite"), "Now the whole suite, with the new tests."),
        ),
        closing=_qa_closing,
        stop=never,
    ),
    Role(
        mark="You are the release editor.",
        moves=(
            Move(read("CHANGELOG.md"), "I look at how earlier changes were written."),
            Move(
                edit(
                    "CHANGELOG.md",
                    "## Unreleased\n",
                    "## Unreleased\n\n- Fixed: a basket of exactly 50.00 is sent free of charge, as promised.\n",
                ),
                "One line, for the people who buy here.",
            ),
            Move(bash("git diff --stat", "Look at all changes"), "A last look at everything that has changed."),
        ),
        closing=_release_closing,
        stop=never,
    ),
    RELEASE_MANAGER,
)
