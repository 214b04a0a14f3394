"""What a WPPConnect server did not deliver is found in the history of the phone, once."""

from tests.gateway import Line


def test_lost_posts_are_found_in_the_history_once(line: Line) -> None:
    line.start_talking()
    line.whatsapp.set_fault("wpp_webhook")
    for n in range(12):
        line.say(f"perdido {n}", wa_id=f"57300555{n % 3:04d}")
    line.whatsapp.clear_faults()
    line.say("este sí llegó", wa_id="573005550000")
    line.wait(lambda: len(line.messages()) == 2)

    line.catch_up()

    assert sorted(line.texts()) == sorted(
        ["Hola", "este sí llegó", *(f"perdido {n}" for n in range(12))]
    )
    assert (line.session.recovered_count, line.session.recovered_total) == (12, 12)
    assert line.events()[-1] == "recovered"
    line.catch_up()
    assert len(line.messages()) == 14
    assert line.session.recovered_total == 12


def test_what_was_written_while_the_server_was_down_comes_after_the_reconnect(line: Line) -> None:
    line.start_talking()
    line.order("lose")
    line.say("¿Hay alguien?")
    line.until("connected")
    line.catch_up()
    assert line.texts() == ["Hola", "¿Hay alguien?"]


def test_the_phones_past_before_the_first_scan_is_left_alone(line: Line) -> None:
    line.connect()
    line.until("qr")
    line.say("de hace tiempo", at=1_700_000_000)
    line.order("scan")
    line.until("connected")
    line.catch_up()
    assert line.messages() == []


def test_a_post_that_comes_twice_is_one_message(line: Line) -> None:
    line.link()
    line.whatsapp.set_fault("wpp_again")
    for n in range(5):
        line.say(f"dos veces {n}")
    line.wait(lambda: len(line.messages()) == 5)
    line.wait(lambda: len(line.whatsapp.acknowledged()) >= 10)
    assert len(line.messages()) == 5
