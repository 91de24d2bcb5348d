"""The languages inside a workflow: `{{tags}}`, `{{=expressions}}` (expr-lang), `when` (govaluate), durations, Go's way to print.

Pure functions over text and values. Semantics: Argo's controller v4.0.7 with expr 1.17.7 and govaluate 3.0.1.
"""
