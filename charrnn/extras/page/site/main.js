import { Connection } from "./connection.js";
import { openPage } from "./page.js";
import { createServedWriter } from "./served-writer.js";
import { openDesk } from "./trainings/desk.js";
import { Trainings } from "./trainings/trainings.js";

const connection = new Connection();
const trainings = new Trainings(connection);
const writer = createServedWriter(connection, trainings);
const page = await openPage(writer);
await trainings.offered;
await openDesk(page, writer, trainings);
