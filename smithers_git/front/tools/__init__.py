"""What a program may ask for over the Model Context Protocol: plain functions over the services.

Each takes a `Scene` and its arguments, a pydantic model, and returns a small JSON object: what commands print with
`--json`, cut into pages. `smithers_git.front.tools.call` finds them, and turns errors into answers.
"""
