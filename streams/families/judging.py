"""What judges whether the scores of a model are probabilities."""

from streams.families.family import Cells, Family, Ints


class Judging(Family):
    """A family that tells by the scores of windows whether they are probabilities at all."""

    def improper(self, cells: Cells) -> tuple[Ints, Ints]:
        """Return how many scores of every group are no probabilities, and how many are.

        The first is 0 where they are few enough.
        """
        raise NotImplementedError
