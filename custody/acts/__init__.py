"""Everything that anyone, or the clock, may do: one function, one page, one transaction each.

`web`, `scanner_app`, the command line and the monitor all come through here, and nothing else changes
anything. An act asks `custody.rules.people.require` whether the person may, asks the rules, and records.
"""
