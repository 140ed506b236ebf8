// The page's ad stack: Prebid.js as npm has it, with both consent modules and one bidder that keeps what it was told.
// window.auction(timeout) starts an auction and answers {after, gpp, usp, ortb2} of the bidder's request, or {after} alone
// where no bidder was asked.
import pbjs from "prebid.js";
import "prebid.js/modules/consentManagementGpp";
import "prebid.js/modules/consentManagementUsp";

pbjs.processQueue();
let told = null;
pbjs.registerBidAdapter(undefined, "witness", {
  code: "witness",
  supportedMediaTypes: ["banner"],
  isBidRequestValid: () => true,
  buildRequests: (bids, request) => {
    told = { after: performance.now(), gpp: request.gppConsent, usp: request.uspConsent, ortb2: request.ortb2?.regs };
    return [];
  },
  interpretResponse: () => [],
});

window.auction = (timeout) => {
  told = null;
  const started = performance.now();
  const module = { cmpApi: "iab", timeout };
  pbjs.setConfig({ consentManagement: { gpp: module, usp: module } });
  const adUnits = [
    { code: "top", mediaTypes: { banner: { sizes: [[300, 250]] } }, bids: [{ bidder: "witness", params: {} }] },
  ];
  return new Promise((done) =>
    pbjs.requestBids({
      adUnits,
      timeout: 300,
      bidsBackHandler: () => done({ ...told, after: (told?.after ?? performance.now()) - started }),
    }),
  );
};
