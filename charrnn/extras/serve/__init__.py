"""Models behind HTTP: completions as OpenAI's clients ask for them, for editors and a page.

serve_options       what the server may be told
server              the listening socket, and the server's life
limits              connections, the time that each has, and the size of a request
app                 the routes
protocol            a request and its errors, as pydantic models
completions         from a request to a job for a scheduler, and from its pieces to the answer
completion_job      a job: its prompt, what is read and written, the states along prompts
scheduler           the thread that reads and writes for all clients of a model
served_models       a model under its name
"""
