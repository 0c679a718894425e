"""The command line, a module a command.

In: ``sys.argv``. Out: text on the terminal, a run's directory, the exit code. Uses every other package.
"""
