import unittest

from bill import split


class Split(unittest.TestCase):
    def test_an_even_bill(self) -> None:
        self.assertEqual(split(900, 3), [300, 300, 300])

    def test_every_cent_is_paid(self) -> None:
        self.assertEqual(sum(split(1001, 3)), 1001)

    def test_nobody_pays_two_cents_more_than_another(self) -> None:
        shares = split(1001, 3)
        self.assertLessEqual(max(shares) - min(shares), 1)


if __name__ == "__main__":
    unittest.main()
