"""The brands that pages show, made of the settings once at the start; `gateway.app.service` asks."""

from pathlib import Path

from gateway.settings.brand import BrandSettings, FooterInEachLanguage, InEachLanguage
from gateway.settings.load import Settings
from gateway.settings.logo import NoLogo, read_logo
from gateway.web.shell.brand import ACCOUNT, APP, EMAIL, OURS, PHONE, Brand, Brands, Logo
from gateway.web.shell.words import LANGUAGES


def brands_of(settings: Settings) -> Brands:
    """The general one, and one for each site by its hosts. Raises `SettingsRefused`, as for a logo that is none."""
    by_host = dict[str, Brand]()
    for name, site in settings.sites.items():
        by_host |= dict.fromkeys(site.hosts, _brand(settings, site, "sites", name))
    return Brands(_brand(settings, settings.site, "site"), by_host)


def _elsewhere(settings: Settings, said: BrandSettings) -> tuple[tuple[str, str], ...]:
    """The operator's other sites: what each is called, and where it is. A cookie is one host's (RFC 6265bis)."""
    general = settings.site
    found: list[tuple[BrandSettings, str]] = [(general, general.url)] if settings.sites and general.url else []
    found += [(site, f"//{site.hosts[0]}") for site in settings.sites.values()]
    return tuple((site.name or where, where) for site, where in found if site is not said)


def _brand(settings: Settings, said: BrandSettings, *path: str) -> Brand:
    called = {thing: getattr(said, thing) for thing in OURS}
    return Brand(
        name=said.name,
        logo=_logo(settings, said.logo, *path) if said.logo else None,
        contact=said.contact,
        policy_url=said.policy_url,
        notices=said.notices,
        old_title=said.old_title,
        footer=_in_each_language(said.footer),
        has=frozenset(said.has if said.has is not None else _usual(settings)),
        called={thing: _in_each_language(text) for thing, text in called.items() if text},
        accent=said.accent,
        accent_dark=said.accent_dark,
        elsewhere=_elsewhere(settings, said),
    )


def _logo(settings: Settings, file: str, *path: str) -> Logo:
    try:
        return Logo(*read_logo(Path(file)))
    except NoLogo as refused:
        raise settings.refused(
            *path, "logo", why=str(refused), write="the path of an SVG, PNG, JPEG or WebP that draws and no more"
        ) from None


def _usual(settings: Settings) -> tuple[str, ...]:
    """What an operator has who did not say it. An app is known by the SDKs in it; to show a field too many loses no
    opt-out, and to show one too few may.
    """
    app = (APP,) if settings.apps.sdks else ()
    return (ACCOUNT, EMAIL, PHONE, *app)


def _in_each_language(said: str | InEachLanguage | FooterInEachLanguage) -> dict[str, str]:
    return {language: said if isinstance(said, str) else getattr(said, language) for language in LANGUAGES}
