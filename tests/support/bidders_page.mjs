// A page's ad stack as operators have it: Prebid.js as npm has it, its consent and control modules, ids of the person, and
// four bidders of the market, whose requests go to their own hosts. window.auction(restrict) starts an auction and ends
// when it ended; `restrict` is what the operator adds to what a no restricts. On a page with the recipe the consent modules
// stay as that has set them.
import pbjs from "prebid.js";
import "prebid.js/modules/allowActivities";
import "prebid.js/modules/consentManagementGpp";
import "prebid.js/modules/consentManagementUsp";
import "prebid.js/modules/gppControl_usnat";
import "prebid.js/modules/gppControl_usstates";
import "prebid.js/modules/userId";
import "prebid.js/modules/sharedIdSystem";
import "prebid.js/modules/pubProvidedIdSystem";
import "prebid.js/modules/appnexusBidAdapter";
import "prebid.js/modules/ixBidAdapter";
import "prebid.js/modules/openxBidAdapter";
import "prebid.js/modules/rubiconBidAdapter";

pbjs.processQueue();

const byRecipe = pbjs.getConfig("consentManagement");
const person = JSON.parse(document.querySelector("#person").textContent);
const eid = (source, id) => ({ source, uids: [{ id, atype: 1 }] });
const bids = [
  { bidder: "appnexus", params: { placementId: 13144370 } },
  { bidder: "ix", params: { siteId: "123456", size: [300, 250] } },
  { bidder: "openx", params: { unit: "539439964", delDomain: "publisher.example" } },
  { bidder: "rubicon", params: { accountId: "14062", siteId: "70608", zoneId: "335918" } },
];

window.auction = (restrict) => {
  const module = { cmpApi: "iab", timeout: 5000 };
  const mspa = restrict ? { mspa: { restrictActivities: restrict } } : {};
  pbjs.setConfig({
    consentManagement: byRecipe || { gpp: { ...module, ...mspa }, usp: module },
    ortb2: {
      user: { id: person.user, buyeruid: person.buyeruid, ext: { eids: [eid("partner.example", person.eid)] } },
      device: { ifa: person.ifa },
    },
    userSync: {
      syncEnabled: true,
      filterSettings: { all: { bidders: "*", filter: "include" } },
      syncDelay: 0,
      auctionDelay: 5000,
      userIds: [
        { name: "sharedId", storage: { name: "_pubcid", type: "cookie", expires: 365 } },
        { name: "pubProvidedId", params: { eids: [eid("site.example", person.userId)] } },
      ],
    },
  });
  const adUnits = [{ code: "top", mediaTypes: { banner: { sizes: [[300, 250]] } }, bids }];
  return new Promise((done) => pbjs.requestBids({ adUnits, timeout: 10000, bidsBackHandler: () => done(true) }));
};
