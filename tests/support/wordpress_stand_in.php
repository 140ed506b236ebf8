<?php
/**
 * Stands in for WordPress, of which no copy can be had here: the functions that the plugin calls, as small as they can be,
 * written from WordPress's documentation. Who is signed in stands in a cookie. A page tells what the plugin made of its
 * visitor and everything that it asked the gateway.
 */

define('ABSPATH', __DIR__ . '/');
const HOUR_IN_SECONDS = 3600;
const DAY_IN_SECONDS = 86400;
require __DIR__ . '/wp-config.php';

class WP_Error
{
}

$hooks = [];
$asked = [];

function add_filter($name, $function, $priority = 10, $arguments = 1)
{
    $GLOBALS['hooks'][$name][] = [$function, $arguments];
}

function apply_filters($name, $value, ...$more)
{
    foreach ($GLOBALS['hooks'][$name] ?? [] as [$function, $arguments]) {
        $value = $function(...array_slice([$value, ...$more], 0, $arguments));
    }
    return $value;
}

function add_action($name, $function, $priority = 10, $arguments = 1)
{
    add_filter($name, $function, $priority, $arguments);
}

function do_action($name, ...$given)
{
    foreach ($GLOBALS['hooks'][$name] ?? [] as [$function, $arguments]) {
        $function(...array_slice($given, 0, $arguments));
    }
}

function get_current_user_id()
{
    return (int) ($_COOKIE['wordpress_logged_in_test'] ?? 0);
}

function is_user_logged_in()
{
    return get_current_user_id() > 0;
}

function is_ssl()
{
    return SITE_IS_SSL;
}

function nocache_headers()
{
    header('Cache-Control: no-cache, must-revalidate, max-age=0, no-store, private');
}

function wp_hash($text)
{
    return hash_hmac('md5', $text, 'salt of this stand-in');
}

function transient($name)
{
    return __DIR__ . "/transients/$name";
}

function get_transient($name)
{
    $held = is_file(transient($name)) ? unserialize(file_get_contents(transient($name))) : [0, false];
    return $held[0] > time() ? $held[1] : false;
}

function set_transient($name, $value, $seconds)
{
    file_put_contents(transient($name), serialize([time() + $seconds, $value]));
}

function wp_remote_get($url, $request)
{
    return remote('GET', $url, $request);
}

function wp_remote_post($url, $request)
{
    return remote('POST', $url, $request);
}

function remote($method, $url, $request)
{
    $headers = array_map(fn($name, $value) => "$name: $value", array_keys($request['headers']), $request['headers']);
    $body = $request['body'] ?? '';
    $http = ['method' => $method, 'header' => $headers, 'content' => $body, 'timeout' => $request['timeout'], 'ignore_errors' => true];
    $text = @file_get_contents($url, false, stream_context_create(['http' => $http]));
    $status = $text === false ? 0 : (int) explode(' ', $http_response_header[0])[1];
    $GLOBALS['asked'][] = ['path' => parse_url($url, PHP_URL_PATH), 'body' => json_decode($body, true), 'status' => $status];
    return $text === false ? new WP_Error() : ['response' => ['code' => $status], 'body' => $text];
}

function is_wp_error($answer)
{
    return $answer instanceof WP_Error;
}

function wp_remote_retrieve_response_code($answer)
{
    return $answer['response']['code'];
}

function wp_remote_retrieve_body($answer)
{
    return $answer['body'];
}

/** WP Consent API's question; `say=` is what was said there. */
function wp_has_consent($category)
{
    return apply_filters('wp_has_consent', ($_GET['say'] ?? 'allow') === 'allow', $category, false);
}

foreach (glob(__DIR__ . '/wp-content/mu-plugins/*.php') as $plugin) {
    require $plugin;
}
do_action('init');

function page()
{
    header('Content-Type: application/json');
    $known = function_exists('gateway_consent');
    echo json_encode([
        'consent' => $known ? gateway_consent() : null,
        'marketing' => wp_has_consent('marketing'),
        'functional' => wp_has_consent('functional'),
        'header' => $_SERVER['HTTP_GATEWAY_CONSENT'] ?? null,
        'gateway' => array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_GATEWAY'), ARRAY_FILTER_USE_KEY),
        'cookies' => array_keys($_COOKIE),
        'user' => get_current_user_id(),
        'visitor' => $_SERVER['HTTP_X_VISITOR'] ?? '',
        'asked' => $GLOBALS['asked'],
    ]);
}
