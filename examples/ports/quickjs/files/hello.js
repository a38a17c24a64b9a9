// Says hello as JSON: skepctl run … -- /hello.js NAME
const who = scriptArgs[1] ?? "world";
console.log(JSON.stringify({ hello: who, now: new Date() }));
