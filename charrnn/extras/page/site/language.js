/** The sentences of the page in English and German; the browser's language chooses. */

const GERMAN = {
  // the header and its menus
  "Menu": "Menü",
  "Draft {n}": "Entwurf {n}",
  "New draft": "Neuer Entwurf",
  "Delete": "Löschen",
  "Delete this draft": "Diesen Entwurf löschen",
  "Delete “{name}”? This cannot be undone.": "„{name}“ löschen? Das lässt sich nicht rückgängig machen.",
  "Forget this text and its drafts": "Diesen Text und seine Entwürfe vergessen",
  "Forget “{title}”, its drafts and its list? This cannot be undone.":
    "„{title}“ mit Entwürfen und Liste vergessen? Das lässt sich nicht rückgängig machen.",
  "This browser stores drafts and the list, on this device only.":
    "Dieser Browser speichert Entwürfe und die Liste, nur auf diesem Gerät.",
  "Model": "Modell",
  "{name} (counted)": "{name} (gezählt)",
  "List": "Liste",
  "Save as text": "Als Text sichern",
  "Copy the text": "Text kopieren",
  "Empty the list": "Liste leeren",
  "Edit": "Bearbeiten",
  "Undo": "Zurück",
  "Redo": "Wieder",
  "There are none yet.": "Noch keine.",
  // a text to learn
  "Write with your own text": "Mit eigenem Text schreiben",
  "Paste a text, or drop files anywhere on the page: it writes more like it, and sends and stores nothing of it.":
    "Füge einen Text ein oder lass Dateien auf die Seite fallen: Sie schreibt ähnlich weiter und sendet und speichert nichts davon.",
  "Write with this text": "Mit diesem Text schreiben",
  "Choose files": "Dateien wählen",
  "Text files": "Textdateien",
  "Back": "Zurück",
  "Reading the text": "Der Text wird gelesen",
  "Sorting passages": "Stellen werden sortiert",
  "Choosing the length of passages": "Die Länge der Stellen wird gewählt",
  "Counting passages": "Stellen werden gezählt",
  "Counting words": "Wörter werden gezählt",
  "This text": "Dieser Text",
  "This is a PDF. Save it as .docx or as plain text.":
    "Dies ist ein PDF. Sichere es als .docx oder als reinen Text.",
  "This is an .rtf file. Save it as .docx or as plain text (TextEdit: Format, Make Plain Text).":
    "Dies ist eine .rtf-Datei. Sichere sie als .docx oder als reinen Text (TextEdit: Format, In reinen Text umwandeln).",
  "This is a .doc file, or it has a password. Save it as .docx or as plain text, without a password.":
    "Dies ist eine .doc-Datei, oder sie hat ein Passwort. Sichere sie als .docx oder als reinen Text, ohne Passwort.",
  "This is no .docx, .odt or .epub file. Save it as .docx or as plain text.":
    "Dies ist keine .docx-, .odt- oder .epub-Datei. Sichere sie als .docx oder als reinen Text.",
  "This file is encrypted. Save it as .docx or as plain text, without a password.":
    "Diese Datei ist verschlüsselt. Sichere sie als .docx oder als reinen Text, ohne Passwort.",
  "This file is damaged. Open it in its program. Save it as .docx or as plain text.":
    "Diese Datei ist beschädigt. Öffne sie in ihrem Programm. Sichere sie als .docx oder als reinen Text.",
  "This file has more than 20 MB of text. Save a part of it as plain text.":
    "Diese Datei hat mehr als 20 MB Text. Sichere einen Teil davon als reinen Text.",
  "{name} is a folder, or is no longer there: choose files.":
    "{name} ist ein Ordner oder nicht mehr da: Wähle Dateien.",
  "{name} is not a text in UTF-8: save it as plain text in UTF-8.":
    "{name} ist kein Text in UTF-8: Sichere die Datei als reinen Text in UTF-8.",
  "{name} is empty: choose a text.": "{name} ist leer: Wähle einen Text.",
  "{name} has only {length} characters: take one of {least} or more.":
    "{name} hat nur {length} Zeichen: Nimm einen Text von mindestens {least}.",
  "{name} is longer than {most} characters: take a part of it.":
    "{name} hat mehr als {most} Zeichen: Nimm einen Teil davon.",
  "{name} repeats one character: take a text with more.":
    "{name} wiederholt ein einziges Zeichen: Nimm einen Text mit mehreren.",
  // writing
  "Your text": "Dein Text",
  "Write a few words: the model continues at your cursor, and you choose which words to keep.":
    "Schreib ein paar Wörter: Das Modell schreibt an der Schreibmarke weiter, und du wählst, was bleibt.",
  "Let the model start": "Das Modell beginnen lassen",
  "Start of each entry": "Anfang jedes Eintrags",
  "anything": "beliebig",
  "The model writes entries like the lines of its text, and leaves these lines out. Star good entries with a click or the space bar: they stay when you write more, and are saved without the others.":
    "Das Modell schreibt Einträge wie die Zeilen seines Textes und lässt diese Zeilen aus. Gib guten Einträgen einen Stern, mit einem Klick oder der Leertaste: Sie bleiben, wenn du mehr schreibst, und werden ohne die anderen gesichert.",
  "Entries": "Einträge",
  "{n} entries": "{n} Einträge",
  "{n} entries; lines of the training text left out: {lines}":
    "{n} Einträge; ausgelassene Zeilen des Textes: {lines}",
  "Continuations": "Fortsetzungen",
  "Take a continuation, or click a word to take the text up to it.":
    "Nimm eine Fortsetzung, oder klicke ein Wort an, um den Text bis dahin zu nehmen.",
  "Close": "Schließen",
  "Take": "Nehmen",
  "Continuation {n}": "Fortsetzung {n}",
  "Text of continuation {n}": "Text der Fortsetzung {n}",
  "Take continuation {n}": "Nehmen: Fortsetzung {n}",
  "Other words for this place": "Andere Wörter für diese Stelle",
  "The next word": "Das nächste Wort",
  "{word} was unlikely here": "{word} war hier unwahrscheinlich",
  "{word} was {percent} likely": "{word} war zu {percent} wahrscheinlich",
  "space": "Leerzeichen",
  "line break": "Zeilenumbruch",
  "tab": "Tabulator",
  // the footer
  "Temperature": "Temperatur",
  "Low: predictable text. High: daring text.": "Niedrig: vorhersehbar. Hoch: gewagt.",
  "Length": "Länge",
  "a sentence": "ein Satz",
  "a paragraph": "ein Absatz",
  "50 characters": "50 Zeichen",
  "200 characters": "200 Zeichen",
  "500 characters": "500 Zeichen",
  "2000 characters": "2000 Zeichen",
  "Texts": "Texte",
  "More": "Mehr",
  "Continue": "Weiterschreiben",
  "Write a list": "Liste schreiben",
  "Write others": "Andere schreiben",
  "Stop": "Anhalten",
  "Train a network": "Netz trainieren",
  "Trainings": "Trainings",
  "Take home": "Mitnehmen",
  "Invented words": "Erfundene Wörter",
  "none": "keine",
  "few": "wenige",
  "free": "frei",
  "How freely the model invents words. “few” follows the temperature.":
    "Wie frei das Modell Wörter erfindet. „wenige“ folgt der Temperatur.",
  "Avoid repetition": "Wiederholung meiden",
  "How strongly to avoid passages that the draft already has.":
    "Wie stark Stellen gemieden werden, die schon im Entwurf stehen.",
  "Copy less": "Weniger kopieren",
  "Write as I type": "Beim Tippen schreiben",
  "Click to change a word": "Wörter per Klick ändern",
  "Tint surprising characters": "Überraschende Zeichen färben",
  // messages
  "Writing …": "Es schreibt …",
  "Stopped.": "Angehalten.",
  "Written: {n}.": "Geschrieben: {n}.",
  "The model wrote nothing.": "Das Modell hat nichts geschrieben.",
  "Added to your text. Undo removes it.": "In deinen Text übernommen. „Zurück“ entfernt es.",
  "Copied to the clipboard.": "In die Zwischenablage kopiert.",
  "This browser does not allow it: copy the text by hand.":
    "Dieser Browser erlaubt es nicht: Kopiere den Text von Hand.",
  "This browser cannot store the draft: save it as a file.":
    "Dieser Browser kann den Entwurf nicht speichern: Sichere ihn als Datei.",
  "This browser cannot store the list: save it as a file.":
    "Dieser Browser kann die Liste nicht speichern: Sichere sie als Datei.",
  "The draft is open in another window. This is a copy of it.":
    "Der Entwurf ist in einem anderen Fenster offen. Dies ist eine Kopie davon.",
  "1 word": "1 Wort",
  "{n} words": "{n} Wörter",
  "1 character": "1 Zeichen",
  "{n} characters": "{n} Zeichen",
  "This browser is too old for the page: use one of 2023 or later.":
    "Dieser Browser ist zu alt für die Seite: Nimm einen von 2023 oder später.",
  "This browser starts no worker, without which the page cannot write: open it in another one.":
    "Dieser Browser startet keinen Worker, ohne den die Seite nicht schreiben kann: Öffne sie in einem anderen.",
  "This model is damaged: get it again.": "Dieses Modell ist beschädigt: Hole es noch einmal.",
  "The server does not answer. Is “charrnn serve” still running?":
    "Der Server antwortet nicht. Läuft „charrnn serve“ noch?",
  // the text and the trainings
  "Counted in this browser; with a network (charrnn train) it writes better from about 60 kB on.":
    "In diesem Browser gezählt; mit einem Netz (charrnn train) schreibt es ab etwa 60 kB besser.",
  "The text was wrapped at a width: the lines of each paragraph were joined.":
    "Der Text war auf eine Breite umbrochen: Die Zeilen jedes Absatzes wurden verbunden.",
  "Networks that the server trains": "Netze, die der Server trainiert",
  "Loss": "Verlust",
  "waiting": "wartet",
  "running": "läuft",
  "done": "fertig",
  "stopped": "angehalten",
  "failed": "gescheitert",
  "loss {n}": "Verlust {n}",
  "writes better than counts: choose it above": "schreibt besser als die Zählung: oben wählbar",
};

const isGerman = navigator.language.startsWith("de");

/** Return a sentence in the language of the browser, with values for the names in braces. */
export function translate(sentence, values = {}) {
  const translated = (isGerman && GERMAN[sentence]) || sentence;
  return translated.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Translate the texts and labels of the page. */
export function translatePage(root) {
  if (!isGerman) return;
  document.documentElement.lang = "de";
  const nodes = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
    const sentence = node.data.trim().replace(/\s+/g, " ");
    if (sentence in GERMAN) node.data = GERMAN[sentence];
  }
  for (const name of ["aria-label", "title", "placeholder"]) {
    for (const element of root.querySelectorAll(`[${name}]`)) {
      element.setAttribute(name, translate(element.getAttribute(name)));
    }
  }
  for (const { content } of root.querySelectorAll("template")) translatePage(content);
}
