"""A page to write on: served by `charrnn serve`, or exported with a model in it.

site             the page's files, and the network in JavaScript: no build, nothing from elsewhere
packing          a model as the JSON that the network in JavaScript reads
single_file      a page, its style and its modules as one file
writing_page     the exported page
export_command   `charrnn export`
"""
