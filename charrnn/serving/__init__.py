"""A model behind HTTP: completions as OpenAI's clients ask for them, for editors and a page.

protocol    what is asked and answered, as pydantic models
completions from a request to what the scheduler is asked, and from what it writes to an answer
scheduler   the thread that writes all texts of a model side by side
job         what the two hand one another
states      the states along the last prompt of each client
limits      what a request may cost: bytes, time; and who may ask
metrics     what Prometheus is told
app         the routes
server      the listening socket, and how it ends
page/       the page at /: plain files
"""
