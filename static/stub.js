// The inline stub of a page, readable. `gateway recipe page` prints it as esbuild minifies it; 800 bytes are its bound (I11),
// so commands are told apart by their place in the alphabet: "addEventListener" < "b", "getUSPData" < "h".
// It stands before every ad script and needs nobody: __gpp (CMP API 1.1) and __uspapi are there from the first moment, for
// frames too. consent.js takes over its listeners. While nobody has answered it holds the opted-out string, and after
// 400 ms it calls that ready. It never decides anything and sends nothing.
{
  let page = self,
    site = document,
    ready = "ready",
    status = "signalStatus",
    listeners = {}, // by id; a negative one waits for getUSPData
    last = 0,
    ping = {
      gppVersion: "1.1",
      cmpStatus: "stub",
      [status]: "not " + ready, // sorts before "ready"
      supportedAPIs: [],
      sectionList: [7],
      applicableSections: [7],
      gppString: "DBABLA~CVVVAAEAAACA.QA", // gateway/choice/downstream.py, opted_out
      parsedSections: {},
      uspString: "1YYN",
    },
    tell = (id, eventName, data) =>
      listeners[id]({ ...ping, eventName, listenerId: +id, data, pingData: ping }, true);
  ["__gpp", "__uspapi"].map(
    (name, frame) =>
      page[name] || // a consent tool that was here before us stays
      ((frame = site.createElement("iframe")),
      (frame.name = name + "Locator"),
      site.head.append(frame),
      ((page[name] = (command, first, second) =>
        command < "b"
          ? tell(++last, "listenerRegistered", true, (listeners[last] = first))
          : name[5] // __uspapi(command, version, callback)
            ? command < "h" && (ping[status] < ready ? (listeners[-++last] = second) : second(ping, true))
            : first(command == "ping" ? ping : null, true)).l = listeners),
      addEventListener(
        "message",
        (event, call = event.data?.[name + "Call"], reply) =>
          call &&
          page[name](
            call.command,
            (reply = (returnValue, success) =>
              event.source.postMessage({ [name + "Return"]: { ...call, returnValue, success } }, "*")),
            call.parameter ?? reply,
          ),
      )),
  );
  setTimeout((id) => {
    if (ping[status] < ready)
      for (id in ((ping[status] = ready), listeners)) setTimeout(tell, 0, id, status, ready); // one that throws stops none
  }, 400);
}
