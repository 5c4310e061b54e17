// An Express server as its generator makes it: a page, a folder of pages, and a page for POST.
// Usage: express.js PORT
const express = require("express");
const app = express();
const secret = (request, answer) =>
  (request.hostname || "").toLowerCase().replace(/\.$/, "") === "shop.example"
    ? answer.send("SECRET")
    : answer.send("another host");
app.get("/login", secret);
app.use("/account", secret);
app.post("/write", secret);
app.use((request, answer) => answer.status(404).send("none"));
app.listen(Number(process.argv[2]), "127.0.0.1");
