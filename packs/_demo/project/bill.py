"""Split a bill. All amounts are in cents."""


def split(cents: int, people: int) -> list[int]:
    """What each one pays: all of it together, and nobody a cent more than need be."""
    share = cents // people
    return [share] * people
