"""English for the third and fourth corruption sets: a dictated sentence, its faithful structuring,
and structurings with one mistake.

By whom and when they were written, and what was tuned on them: ``fidelity_strangers``.
"""

from __future__ import annotations

from second_set_world import Phrase, phrase

THIRD: tuple[Phrase, ...] = (
    phrase(
        "Left-sided PICC terminates at the cavoatrial junction, unchanged.",
        "Left-sided PICC terminates at the cavoatrial junction.",
        side="Right-sided PICC terminates at the cavoatrial junction.",
        comparison="Left-sided PICC terminates at the cavoatrial junction, unchanged.",
    ),
    phrase(
        "Endotracheal tube tip lies 4.5 cm above the carina, previously 3 cm.",
        "Endotracheal tube tip lies 4.5 cm above the carina.",
        number="Endotracheal tube tip lies 2.5 cm above the carina.",
        comparison="Endotracheal tube tip lies 4.5 cm above the carina, previously lower.",
    ),
    phrase(
        "There is no pneumothorax or effusion.",
        "No pneumothorax or effusion.",
        denial="There is a pneumothorax and an effusion.",
    ),
    phrase(
        "The right basilar airspace opacity has worsened and may represent aspiration.",
        "Right basilar airspace opacity, which may represent aspiration.",
        side="Left basilar airspace opacity, which may represent aspiration.",
        comparison="Worsened right basilar airspace opacity, which may represent aspiration.",
    ),
    phrase(
        "Cardiac silhouette remains enlarged.",
        "Cardiac silhouette is enlarged.",
        denial="Cardiac silhouette is not enlarged.",
        comparison="Cardiac silhouette remains enlarged.",
    ),
    phrase(
        "Interval decrease in the moderate left pleural effusion.",
        "Moderate left pleural effusion.",
        side="Moderate right pleural effusion.",
        comparison="Decreased moderate left pleural effusion.",
        denial="No left pleural effusion.",
    ),
    phrase(
        "Three old healed rib fractures are seen on the right.",
        "Three old healed rib fractures on the right.",
        number="Five old healed rib fractures on the right.",
        side="Three old healed rib fractures on the left.",
    ),
    phrase(
        "A 12 mm nodule projects over the left upper lobe, not present in 2016.",
        "A 12 mm nodule projects over the left upper lobe.",
        number="A 21 mm nodule projects over the left upper lobe.",
        side="A 12 mm nodule projects over the right upper lobe.",
        comparison="A new 12 mm nodule projects over the left upper lobe.",
    ),
    phrase(
        "The mediastinal contours are within normal limits.",
        "The mediastinal contours are within normal limits.",
        denial="The mediastinal contours are abnormal.",
    ),
    phrase(
        "No focal consolidation is identified.",
        "No focal consolidation.",
        denial="Focal consolidation is identified.",
    ),
    phrase(
        "Mild interstitial edema has improved since yesterday.",
        "Mild interstitial edema.",
        comparison="Mild interstitial edema, improved.",
        denial="No interstitial edema.",
    ),
    phrase(
        "Two pacemaker leads end in the right atrium and right ventricle.",
        "Two pacemaker leads end in the right atrium and right ventricle.",
        number="Four pacemaker leads end in the right atrium and right ventricle.",
    ),
    phrase(
        "Small right apical pneumothorax, stable from the prior film.",
        "Small right apical pneumothorax.",
        side="Small left apical pneumothorax.",
        comparison="Stable small right apical pneumothorax.",
        denial="No right apical pneumothorax.",
    ),
    phrase(
        "Bibasilar atelectasis again noted.",
        "Bibasilar atelectasis.",
        comparison="Bibasilar atelectasis again noted.",
        denial="No bibasilar atelectasis.",
    ),
    phrase(
        "The nasogastric tube courses below the diaphragm.",
        "Nasogastric tube courses below the diaphragm.",
    ),
    phrase(
        "Median sternotomy wires are intact.",
        "Median sternotomy wires are intact.",
        denial="Median sternotomy wires are not intact.",
    ),
    phrase(
        "Degenerative changes of the thoracic spine are present.",
        "Degenerative changes of the thoracic spine.",
        denial="No degenerative changes of the thoracic spine.",
    ),
    phrase(
        "The hemidiaphragms are flattened, consistent with emphysema.",
        "Flattened hemidiaphragms, consistent with emphysema.",
        denial="Hemidiaphragms are not flattened and there is no emphysema.",
    ),
    phrase(
        "Left lower lobe collapse is more pronounced than before.",
        "Left lower lobe collapse.",
        side="Right lower lobe collapse.",
        comparison="More pronounced left lower lobe collapse.",
        denial="No left lower lobe collapse.",
    ),
    phrase(
        "Right chest tube in place with its tip at the apex.",
        "Right chest tube in place with its tip at the apex.",
        side="Left chest tube in place with its tip at the apex.",
    ),
    phrase(
        "The aorta is tortuous and calcified.",
        "The aorta is tortuous and calcified.",
        denial="The aorta is neither tortuous nor calcified.",
    ),
    phrase(
        "Pulmonary vasculature is not engorged.",
        "Pulmonary vasculature is not engorged.",
        denial="Pulmonary vasculature is engorged.",
    ),
)

FOURTH: tuple[Phrase, ...] = (
    phrase(
        "Tracheostomy tube is in standard position 3.8 cm above the carina.",
        "Tracheostomy tube in standard position 3.8 cm above the carina.",
        number="Tracheostomy tube in standard position 6.8 cm above the carina.",
    ),
    phrase(
        "Right upper lobe mass-like opacity has enlarged compared to the CT from March.",
        "Right upper lobe mass-like opacity.",
        side="Left upper lobe mass-like opacity.",
        comparison="Enlarging right upper lobe mass-like opacity compared to the CT.",
        denial="No right upper lobe mass-like opacity.",
    ),
    phrase(
        "Four sternal wires are fractured.",
        "Four sternal wires are fractured.",
        number="Six sternal wires are fractured.",
        denial="No sternal wires are fractured.",
    ),
    phrase(
        "Lungs are hyperexpanded without superimposed consolidation.",
        "Lungs are hyperexpanded without superimposed consolidation.",
        denial="Lungs are hyperexpanded with superimposed consolidation.",
    ),
    phrase(
        "No evidence of acute osseous injury.",
        "No acute osseous injury.",
        denial="Acute osseous injury.",
    ),
    phrase(
        "Layering left effusion, slightly larger in the interim.",
        "Layering left effusion.",
        side="Layering right effusion.",
        comparison="Slightly larger layering left effusion.",
        denial="No layering left effusion.",
    ),
    phrase(
        "Heart size is top normal.",
        "Heart size is top normal.",
        denial="Heart size is abnormal.",
    ),
    phrase(
        "Perihilar haziness, likely mild pulmonary venous congestion, is again demonstrated.",
        "Perihilar haziness, likely mild pulmonary venous congestion.",
        comparison="Perihilar haziness is again demonstrated, "
        "likely mild pulmonary venous congestion.",
        denial="No perihilar haziness or pulmonary venous congestion.",
    ),
    phrase(
        "Left subclavian dialysis catheter ends in the right atrium.",
        "Left subclavian dialysis catheter ends in the right atrium.",
        side="Right subclavian dialysis catheter ends in the right atrium.",
    ),
    phrase(
        "Patchy opacity at the left costophrenic angle may be atelectasis or early pneumonia.",
        "Patchy opacity at the left costophrenic angle may be atelectasis or early pneumonia.",
        side="Patchy opacity at the right costophrenic angle "
        "may be atelectasis or early pneumonia.",
    ),
    phrase(
        "The previously seen right pneumothorax is not well visualized on this supine film.",
        "Right pneumothorax is not well visualized on this supine film.",
        side="Left pneumothorax is not well visualized on this supine film.",
    ),
    phrase(
        "Mild wedging of two mid thoracic vertebral bodies.",
        "Mild wedging of two mid thoracic vertebral bodies.",
        number="Mild wedging of three mid thoracic vertebral bodies.",
        denial="No wedging of mid thoracic vertebral bodies.",
    ),
    phrase(
        "Surgical clips project over the right axilla.",
        "Surgical clips project over the right axilla.",
        side="Surgical clips project over the left axilla.",
    ),
    phrase(
        "The stomach is distended with gas.",
        "The stomach is distended with gas.",
        denial="The stomach is not distended with gas.",
    ),
)
