"""Configurations to rehearse: one in which no way to opt out is closed, one with a recipient of every role and mode."""

EVERY_WAY_OPEN = """
[site]
url = "https://www.example.com"
[ad_choices]
participant = 7
[consent_tools]
typo3 = {group-2 = "ads"}
"""

EVERY_ROLE = """
[identifiers]
declared = ["crm"]
[recipients.filesdesk]
role = "third_party"
purposes = ["sale", "third_party_marketing"]
data = ["ad_id", "contact", "keywords", "demographics", "email_hash", "aggregate"]
contract = "c1"
announced = 2024-01-01
transfer_basis = "scc"
mode = "files"
max_age_days = 30
upload = ["false"]
fields = { ad_id = { class = "ad_id", kind = "gaid" }, mail = { class = "contact", kind = "email" }, words = "keywords", zip = "coarse_geo" }
[recipients.kin]
role = "affiliate"
purposes = ["sale", "marketing_email", "profiling"]
data = ["contact", "ad_id"]
contract = "c2"
announced = 2024-01-01
transfer_basis = "scc"
same_brand = true
fields = { ad_id = { class = "ad_id", kind = "gaid" }, mail = { class = "contact", kind = "email" } }
[recipients.heir]
role = "successor"
purposes = ["transfer", "sale"]
data = ["contact", "account"]
contract = "c3"
announced = 2024-01-01
[recipients.wish]
role = "consumer_directed"
purposes = ["service"]
data = ["contact", "account"]
contract = "c4"
[recipients.mailer]
role = "service_provider"
purposes = ["marketing_email", "marketing_text", "service"]
data = ["contact"]
contract = "c5"
[recipients.telco]
role = "affiliate"
purposes = ["cpni_disclosure", "call_location", "cpni_marketing"]
data = ["cpni", "precise_geo"]
contract = "c6"
announced = 2024-01-01
transfer_basis = "scc"
[recipients.late]
role = "third_party"
purposes = ["sale"]
data = ["ad_id"]
contract = "c7"
announced = 2026-11-01
fields = { ad_id = { class = "ad_id", kind = "gaid" } }
[recipients.programme]
role = "third_party"
purposes = ["targeted_ads"]
data = ["ad_id", "deidentified"]
contract = "c8"
announced = 2024-01-01
programme = "club"
tcf_vendor = 7
fields = { ad_id = { class = "ad_id", kind = "gaid" } }
"""
