from gatewayd.prove.findings import FAULTS_KEPT, Check, Finding, Findings

CHECK = Check("records", "a promise", wrongs=("missing", "doubled"), needs=("requests",))


def finding() -> Finding:
    found = Finding(CHECK)
    found.count("requests", 1234)
    return found


def test_a_check_that_found_nothing_wrong_has_passed() -> None:
    assert finding().passed
    assert finding().figure == "missing 0, doubled 0, requests 1,234"
    assert finding().reasons == []
    assert finding().lines == ["ok     records         missing 0, doubled 0, requests 1,234"]


def test_one_wrong_fails_it_and_is_told() -> None:
    found = finding()
    found.wrong("doubled", "r1 has 3 records", 2)
    assert not found.passed
    assert found.figure.startswith("missing 0, doubled 2, ")
    assert found.reasons == ["doubled: r1 has 3 records"]
    assert found.lines == [f"FAILED records         {found.figure}", "       doubled: r1 has 3 records"]


def test_nothing_wrong_is_not_a_fault() -> None:
    found = finding()
    found.wrong("missing", "none", 0)
    assert found.passed
    assert found.reasons == []


def test_a_check_that_had_nothing_to_look_at_has_not_passed() -> None:
    found = Finding(CHECK)
    assert not found.passed
    assert found.reasons == ["nothing was proved: there were no requests"]


def test_a_trial_that_could_not_be_carried_out_fails_its_checks() -> None:
    found = finding()
    found.failed("no daemon")
    assert not found.passed
    assert found.reasons == ["no daemon"]


def test_only_so_many_faults_are_kept_and_all_are_counted() -> None:
    found = finding()
    for number in range(100):
        found.wrong("missing", f"r{number}")
    assert found.counts["missing"] == 100
    assert len(found.reasons) == FAULTS_KEPT


def test_of_times_the_longest_is_told() -> None:
    found = finding()
    for seconds in (0.2, 1.5, 0.1):
        found.took("back after", seconds)
    assert found.figure.endswith("requests 1,234, back after 1,500 ms")


def test_findings_are_found_by_the_name_of_their_check() -> None:
    findings = Findings([CHECK])
    assert findings["records"].check is CHECK
    assert [found.check.name for found in findings] == ["records"]
