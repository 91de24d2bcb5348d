"""The one table of rules: an error fails at run time or is refused by the cluster, a warning is most often not what was meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One row."""

    name: str
    severity: Severity
    summary: str


_TABLE = """
error   no-yaml                   the input cannot be read, or is no YAML
error   duplicate-key             a key that is there twice; only one of them counts
error   yaml-boolean              a word such as n or on, which Kubernetes' YAML reader takes for a boolean
error   unknown-kind              an object of Argo's whose kind does not exist
error   unknown-field             a field that Argo's schema does not have
error   missing-field             a field that must be there
error   wrong-type                a value of another type than the field's
error   unknown-value             a value that is not among those allowed
error   bad-quantity              an amount of memory or of processors that Kubernetes cannot read
error   tag-in-resources          {{...}} where the API server wants a quantity
error   bad-name                  a name with signs that are not allowed, or too long
error   duplicate-name            two things of one name
error   template-kind             a template that does nothing, or two things
error   misplaced-field           a field that this kind of template does not take
error   no-entrypoint             nothing says which template runs
error   unknown-template          an entrypoint, step, task or hook calls a template that does not exist
warning unresolved-reference      an object that is not among the files, and one of almost its name is
warning unused-template           a template that nothing calls
error   endless-recursion         templates that call each other without a condition
error   input-not-supplied        an input that nobody supplies
warning unknown-argument          an argument that nobody takes
error   argument-without-value    an argument without a value
warning parameter-without-value   a workflow's parameter without a value, which every submission must give
error   not-in-enum               a value that the parameter's enum does not allow
error   bad-loop                  a loop over nothing, or over two things
error   unknown-task              a task waits for one that does not exist
error   bad-depends               a depends that cannot be evaluated
error   cycle                     tasks or containers that wait for each other
error   undefined-variable        a variable that does not exist, or not yet
warning undeclared-parameter      a template names a parameter that only its caller could have
error   unclosed-tag              {{ without an end
error   broken-expression         an expression that cannot be read
error   unknown-function          a function that does not exist
error   expression-type           types in an expression that do not go together: text compared with a number
error   expression-value          an expression that fails with the workflow's own values
error   broken-condition          a when that cannot be evaluated
warning last-retry-in-body        lastRetry.exitCode outside a retry's expression, where it means something else
error   bad-output                an output that its template cannot have
error   bad-artifact              an artifact without a place, or with two
warning output-not-written        an output's file that the program in the workflow never names
error   skipped-output            an output of a step that may be skipped, without a default
error   bad-duration              a time that Argo cannot read
error   backoff-without-duration  a backoff without duration: every retry ends in Error
warning backoff-without-limit     a backoff without a limit: Argo does not wait
warning max-duration-too-short    no time is left for a retry after the step's own deadline
error   missing-image             a container without an image
error   bad-image                 an image's name that nobody can pull
warning command-with-blanks       a command that is a whole line and not the name of a program
warning duplicate-port            a port of a container that is there twice
error   unknown-volume            a volume that is mounted and not declared
warning unused-volume             a volume that is declared and not mounted
error   mount-collision           two things at one path
error   bad-patch                 a podSpecPatch that is no map
error   unknown-key               a ConfigMap or Secret, among the files, without the key
error   bad-manifest              a resource manifest that cannot be read
error   manifest-type             a number that becomes text in a manifest
warning manifest-text             text that may become a number in a manifest
warning host-path                 a volume that is a folder of the node
error   root-refused              a container that must not run as root and is told to
warning root-user                 a container that runs as root or privileged
warning plain-secret              a password or key in plain text
error   argument-size             a text that is too long for a process's argument or environment
error   object-size               an object that is too large for the cluster
warning run-size                  a run whose state will be too large for the cluster
warning unknown-account           a service account that is not among the accounts in the files
error   missing-right             a service account without the rights that its steps need
error   bad-metric                a metric whose name or value Argo refuses
error   bad-schedule              a schedule, timezone or deadline of a CronWorkflow that does not exist
"""

RULES: dict[str, Rule] = {}
for _line in _TABLE.strip().splitlines():
    _severity, _name, _summary = _line.split(None, 2)
    RULES[_name] = Rule(_name, "error" if _severity == "error" else "warning", _summary)
