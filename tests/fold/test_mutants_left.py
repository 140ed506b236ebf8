"""The list of the fold's mutants that nobody can find (support/mutants_left.json) is of the fold as it is."""

from support.mutants import left, mutants


def test_each_mutant_on_the_list_is_one_of_the_fold_and_says_why_nobody_finds_it():
    there = {(each.room, each.place, each.what) for each in mutants()}
    assert left().keys() - there == set(), "what is no more comes off the list"
    assert all(reason.endswith(".") for reason in left().values())


def test_a_mutant_is_listed_by_what_stands_there_and_not_by_its_line():
    places = [(each.room, each.place, each.what) for each in mutants()]
    assert len(set(places)) > 0.95 * len(places), "few are two of one kind in one function"
