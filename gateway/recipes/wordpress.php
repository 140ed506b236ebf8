<?php
/**
 * Plugin Name: Consent gateway
 * Description: Says who is signed in, obeys what the consent gateway answers, and tells it to other plugins.
 * Requires PHP: 8.1
 *
 * Put it into wp-content/mu-plugins/. In wp-config.php:
 *   define('GATEWAY_URL', 'http://{{internal}}');  // the gateway's internal address
 *   define('GATEWAY_KEY', '...');                    // gateway keys add --scope choose --name wordpress
 *   define('GATEWAY_ACCOUNT_KEY', '...');            // the newest of "accounts" in the gateway's secrets.json
 * Without an answer everything is denied, pages go on, and the gateway is asked again by a later page.
 */

defined('ABSPATH') || exit;

/**
 * What may be done for this visitor: ['sale' => bool, 'sharing' => bool, 'targeted_ads' => bool, 'status' => 'honored',
 * 'none' or 'unknown']. The header is set by nginx alone. $standing only tightens it, for the rest of this page; null: what
 * holds for the account is not known.
 */
function gateway_consent(?array $standing = []): array
{
    static $consent = null;
    if ($consent === null || $standing === null) {
        $consent = ['sale' => false, 'sharing' => false, 'targeted_ads' => false, 'status' => 'unknown'];
        $header = $standing === null ? '' : $_SERVER['HTTP_GATEWAY_CONSENT'] ?? '';
        preg_match_all('/([a-z_]+)=(\?[01]|[a-z]+)/', $header, $found, PREG_SET_ORDER);
        foreach ($found as [, $name, $value]) {
            $consent[$name] = $value[0] === '?' ? $value === '?1' : $value;
        }
    }
    foreach (array_keys($standing ?? [], 'opted_out', true) as $purpose) {
        $consent = [$purpose => false, 'status' => 'honored'] + $consent;
    }
    return $consent;
}

/** The gateway's answer to a signed-in page: [status, body]; status 0: none. After a failure it rests for a while. */
function gateway_call(string $path, ?array $body = null): array
{
    if (!defined('GATEWAY_URL') || !defined('GATEWAY_KEY') || get_transient('gateway_rests')) {
        return [0, []];
    }
    $request = ['timeout' => 0.3, 'redirection' => 0, 'headers' => [
        'Authorization' => 'Bearer ' . GATEWAY_KEY, 'Content-Type' => 'application/json']];
    $json = $body === null ? '' : json_encode($body, JSON_INVALID_UTF8_SUBSTITUTE);
    $answer = $body === null ? wp_remote_get(GATEWAY_URL . $path, $request)
        : wp_remote_post(GATEWAY_URL . $path, $request + ['body' => $json]);
    $status = is_wp_error($answer) ? 0 : (int) wp_remote_retrieve_response_code($answer);
    if ($status === 200 || $status === 201) {
        return [$status, (array) json_decode(wp_remote_retrieve_body($answer), true)];
    }
    $own_fault = $status >= 400 && $status < 500 && $status !== 409;  // 202: kept, and to be said again; 409, 503: later
    if ($own_fault) {
        error_log("consent gateway: $path answered $status; is GATEWAY_KEY a live key with scope choose?");
    }
    set_transient('gateway_rests', 1, $own_fault ? 60 : 10);
    return [$status, $status === 202 ? (array) json_decode(wp_remote_retrieve_body($answer), true) : []];
}

/** The signals of this request; of its cookies only those that the gateway reads, so that no session leaves the site. */
function gateway_signals(): ?array
{
    $names = get_transient('gateway_cookie_names');
    if (!is_array($names)) {
        $names = gateway_call('/v1/self')[1]['cookie_names'] ?? null;
        if ($names === null) {
            return null;
        }
        set_transient('gateway_cookie_names', $names, HOUR_IN_SECONDS);
    }
    $kept = array_filter(array_map('trim', explode(';', $_SERVER['HTTP_COOKIE'] ?? '')), function ($pair) use ($names) {
        $name = strtolower(trim(explode('=', $pair, 2)[0]));
        $plain = preg_replace('/[^a-z0-9]/', '', $name);
        return array_filter($names, fn($pattern) =>
            fnmatch(strtolower($pattern), $name) || fnmatch(strtolower($pattern), $plain));
    });
    return ['gpc' => $_SERVER['HTTP_SEC_GPC'] ?? null]
        + ($kept ? ['cookies' => ['b64' => base64_encode(implode('; ', $kept))]] : []);  // bytes above 0x7F are no JSON
}

/** A cookie of this request; PHP makes a list of one that is called `name[]`. */
function gateway_said(string $name): string
{
    return is_string($_COOKIE[$name] ?? null) ? $_COOKIE[$name] : '';
}

function gateway_cookie(string $name, string $value, int $expires = 0): void
{
    nocache_headers();
    setrawcookie($name, $value, ['expires' => $expires, 'path' => '/', 'secure' => is_ssl(), 'httponly' => true,
        'samesite' => 'Lax']);
}

/** The account as the app's backend names it, too: filter `gateway_account`, characters that a cookie may hold. */
function gateway_account(int $user): string
{
    return (string) apply_filters('gateway_account', "wp-$user", $user);
}

/** Gateway-Account: who is signed in, so that nginx is told from the next page on. For a day, in a cookie that stays until
 * the browser is closed: one that went by itself would leave somebody whom nobody knows. */
function gateway_assert(string $account): bool
{
    if (!defined('GATEWAY_ACCOUNT_KEY')) {
        return false;
    }
    $sign = fn(string $body): string => "$body." . hash_hmac('sha256', $body, hex2bin(GATEWAY_ACCOUNT_KEY));
    $said = gateway_said('Gateway-Account');  // a script of the page may have set one that is not ours
    $until = preg_match('/^v1\..+\.(\d{1,12})\.[0-9a-f]{64}$/', $said, $held) ? (int) $held[1] : 0;
    $left = hash_equals($sign("v1.$account.$until"), $said) ? $until - time() : 0;
    if ($left < DAY_IN_SECONDS / 2) {
        gateway_cookie('Gateway-Account', $sign("v1.$account." . (time() + DAY_IN_SECONDS)));
    }
    return $left > 0;
}

add_action('wp_login', fn($login, $user) => gateway_assert(gateway_account($user->ID)), 10, 2);

function gateway_forget(): void
{
    foreach (['Gateway-Account', 'gateway-told'] as $name) {
        isset($_COOKIE[$name]) && gateway_cookie($name, '', 1);
    }
}
add_action('wp_logout', 'gateway_forget');

/** A signed-in page whose browser has not said this before: whose browser it is, and what its signals are. */
add_action('init', function (): void {
    if (!is_user_logged_in()) {
        gateway_forget();  // the session ended by itself
        return;
    }
    $account = gateway_account(get_current_user_id());
    $browser = $_SERVER['HTTP_GATEWAY_BROWSER'] ?? '';  // another one each request: only whether there is one can be compared
    $known = gateway_consent()['status'] !== 'unknown';  // nginx got no answer: whether there is one, it was not told either
    $asserted = gateway_assert($account);
    $state = wp_hash(implode('|', [$account, $_SERVER['HTTP_GATEWAY_CONSENT'] ?? '', $_SERVER['HTTP_SEC_GPC'] ?? '', $browser !== '']));
    $told = hash_equals($state, gateway_said('gateway-told'));
    if ($told && ($asserted || $browser !== '')) {
        return;
    }
    $identifiers = [['type' => 'account', 'value' => $account]];
    if ($browser !== '') {
        $identifiers[] = ['type' => 'browser', 'value' => $browser];
    } elseif (!$told && is_ssl() && $known) {  // once a browser: one that keeps no cookies is not given one each page
        $identifiers[] = ['type' => 'browser', 'value' => 'new', 'host' => $_SERVER['HTTP_HOST'] ?? ''];
    }
    $signals = gateway_signals();
    [$status, $answer] = $signals === null ? [0, []]
        : gateway_call('/v1/observe', ['identifiers' => $identifiers, 'signals' => $signals]);
    $standing = $answer['standing'] ?? null;
    if (array_diff($standing ?? [''], ['none', 'opted_in', 'opted_out'])) {  // or a word that a later gateway added: nobody knows
        [$standing, $status] = [null, 0];
    }
    gateway_consent($standing);  // what nginx was told may hold for the browser alone
    if (isset($answer['cookie'])) {
        nocache_headers();
        header("Set-Cookie: {$answer['cookie']['name']}={$answer['cookie']['value']}; {$answer['cookie']['attributes']}", false);
    }
    if ($status === 200 || $status === 201) {
        gateway_cookie('gateway-told', $state);
    }
});

/** WP Consent API: what the gateway denies is denied to plugins that ask; what it allows is left to what was said there. */
add_filter('wp_has_consent', function ($has, $category) {
    $consent = gateway_consent();
    return $has && ($category !== 'marketing' || ($consent['sale'] && $consent['sharing'] && $consent['targeted_ads']));
}, 10, 2);
