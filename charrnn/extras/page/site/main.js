import { Connection } from "./connection.js";
import { openPage } from "./page.js";
import { createServedWriter } from "./served-writer.js";
import { Trainings } from "./trainings/trainings.js";

const connection = new Connection();
const trainings = new Trainings(connection);
const writer = createServedWriter(connection, trainings);
const page = await openPage(writer);
await trainings.offered;
const { openDesk } = await import("./trainings/desk.js");
await openDesk(page, writer, trainings).catch((error) => page.fail(error));
