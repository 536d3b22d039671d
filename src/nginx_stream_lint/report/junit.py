"""JUnit XML for test report viewers: one test for each location and each finding."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import SEVERITIES, Finding
from nginx_stream_lint.util.escaping import in_xml


def junit(run: Run) -> str:
    """Render the run as a test suite per file.

    A finding at or above the severity that fails a run is a failure; a less severe one is a passed
    test with output; a problem is an error. Locations without findings pass.
    """
    suites: dict[str, list[Element]] = {}
    for file, case in _cases(run):
        suites.setdefault(file, []).append(case)
    root = Element("testsuites", name="nginx-stream-lint", time=f"{run.seconds:.3f}")
    for file, cases in suites.items():
        suite = SubElement(root, "testsuite", {"name": file} | _counts(cases))
        suite.extend(cases)
    root.attrib |= _counts([case for cases in suites.values() for case in cases])
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{in_xml(tostring(root, "unicode"))}\n'


def _cases(run: Run) -> Iterator[tuple[str, Element]]:
    report = run.report
    for problem in report.problems:
        file = run.path(problem.file)
        case = _case(file, f"line {problem.line} can be read")
        said = f"{problem.message}; {problem.advice}"
        SubElement(case, "error", type="unreadable", message=said).text = str(problem)
        yield file, case
    limit = SEVERITIES.index(run.fail_on)
    told: set[tuple[str, int]] = set()
    for finding in report.findings:
        place = finding.location.place
        told.add((place.source.name, place.start))
        file = run.path(finding.place.source)
        case = _case(file, f"{finding.rule}: {finding.location.label}")
        if SEVERITIES.index(finding.severity) <= limit:
            failure = SubElement(case, "failure", type=finding.severity, message=finding.message)
            failure.text = _details(finding, run)
        else:
            SubElement(case, "system-out").text = _details(finding, run)
        yield file, case
    for proxied in report.proxied:
        directive = proxied.level.directive
        if directive is None or (directive.source.name, directive.start) in told:
            continue
        told.add((directive.source.name, directive.start))
        file = run.path(directive.source)
        yield file, _case(file, proxied.level.label)


def _case(file: str, name: str) -> Element:
    return Element("testcase", classname=file, name=name)


def _counts(cases: list[Element]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
    }


def _details(finding: Finding, run: Run) -> str:
    place = finding.place
    lines = [
        f"{run.path(place.source)}:{place.line}:{place.column}: {finding.severity}",
        finding.message,
        *([finding.stream_words] if finding.stream_words else []),
        *(
            f"{run.path(related.place.source)}:{related.place.line}: {related.message}"
            for related in finding.related
        ),
    ]
    if finding.fix is not None:
        fix = finding.fix
        said = ". ".join((f"{fix.title} ({fix.applicability})", *fix.cautions))
        lines += [f"{said}:", fix.snippet]
    return "\n".join(lines)
