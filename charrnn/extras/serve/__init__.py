"""Models behind HTTP: completions as OpenAI's clients ask for them, for editors and a page.

serve_options       what the server may be told
server              the listening socket, and how it ends
app                 the routes
protocol            what is asked and answered, as pydantic models
limits              what one request may cost, and which sites may ask
completions         from a request to jobs for a scheduler, and from its events to the answer
completion_job      what the two hand one another
scheduler           the thread that reads and writes for all clients of a model
state_cache         the states along the last prompt of each client
served_models       the models of a server under their names
copied_passages     what of a text stands in the training text
"""
