"""Models behind HTTP: completions as OpenAI's clients ask for them, for editors and a page.

serve_options       what the server may be told
server              the listening socket, its connections and their limits
app                 the routes
protocol            what is asked and answered, as pydantic models
completions         from a request to jobs for a scheduler, and from its events to the answer
completion_job      a job: what is asked, read, written and handed on
scheduler           the thread that reads and writes for all clients of a model
state_cache         the states along the last prompt of each client
served_models       a model under its name
"""
